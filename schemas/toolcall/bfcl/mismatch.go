package bfcl

import (
	"fmt"
	"strings"
)

// ErrorType is the paper's deficiency type (appendix A.1). The report counts them.
type ErrorType string

const (
	ParameterValue ErrorType = "parameter value"
	ParameterName  ErrorType = "parameter name"
	ParameterCount ErrorType = "parameter count"
	ToolsCount     ErrorType = "tools count"
	ToolName       ErrorType = "tool name"
	CodeSyntax     ErrorType = "code syntax"
	Other          ErrorType = "other"
)

// BFCL's error names.
const (
	wrongCountSimple   = "simple_function_checker:wrong_count"
	wrongCountMultiple = "multiple_function_checker:wrong_count"
	wrongCountParallel = "parallel_function_checker_no_order:wrong_count"
	cannotFindMatch    = "parallel_function_checker_no_order:cannot_find_match"
	wrongFuncName      = "simple_function_checker:wrong_func_name"
	missingRequired    = "simple_function_checker:missing_required"
	missingOptional    = "simple_function_checker:missing_optional"
	unexpectedParam    = "simple_function_checker:unexpected_param"
	typeSimple         = "type_error:simple"
	typeNested         = "type_error:nested"
	typeJava           = "type_error:java"
	typeJavaScript     = "type_error:js"
	valueString        = "value_error:string"
	valueList          = "value_error:list/tuple"
	valueDictKey       = "value_error:dict_key"
	valueDictValue     = "value_error:dict_value"
	valueListDictCount = "value_error:list_dict_count"
	valueOthers        = "value_error:others"
	dictUnclear        = "dict_checker:unclear"
	listDictUnclear    = "list_dict_checker:unclear"
	decoderFailed      = "ast_decoder:decoder_failed"
	decoderFormat      = "ast_decoder:decoder_wrong_output_format"
	irrelevanceCalled  = "irrelevance_error:decoder_success"
	relevanceSilent    = "relevance_error:decoder_failed"
)

// A Mismatch says why an answer does not pass. nil is a pass.
type Mismatch struct {
	Name   string    // BFCL's error name, such as "value_error:string"
	Type   ErrorType // the paper's deficiency type
	Call   string    // the name of the tool, if one call is at fault
	Param  string    // the name of the parameter, if one is at fault
	Detail string    // what was wanted and given, for people
	Unsure bool      // the original may read the answer; it counts against it, because the judge is never kinder
}

func (m *Mismatch) String() string {
	if m == nil {
		return "pass"
	}
	parts := []string{m.Name}
	for _, part := range []string{m.Call, m.Param, m.Detail} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// Unreadable reports whether the answer could not be read.
func (m *Mismatch) Unreadable() bool {
	return m.Name == decoderFailed || m.Name == decoderFormat || m.Name == relevanceSilent
}

// Undecodable returns the mismatch of an answer that cannot be read; err says why.
func Undecodable(err error) *Mismatch {
	return mismatch(decoderFailed, "", "%v", err)
}

func mismatch(name, param, detail string, args ...any) *Mismatch {
	return &Mismatch{Name: name, Type: typeOf(name), Param: param, Detail: fmt.Sprintf(detail, args...)}
}

// typeOf maps BFCL's error names to the paper's types. A call where none is wanted, and no call
// where one is wanted, are wrong counts of tools. For cannot_find_match the checker sets the
// type of the nearest candidate instead.
func typeOf(name string) ErrorType {
	switch name {
	case wrongCountSimple, wrongCountMultiple, wrongCountParallel, irrelevanceCalled, relevanceSilent:
		return ToolsCount
	case wrongFuncName:
		return ToolName
	case missingRequired, missingOptional:
		return ParameterCount
	case unexpectedParam:
		return ParameterName
	case decoderFailed, decoderFormat:
		return CodeSyntax
	case cannotFindMatch:
		return Other
	}
	return ParameterValue
}
