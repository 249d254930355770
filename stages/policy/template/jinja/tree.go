package jinja

// The tree of a template. Statements write text (exec.go), expressions have values (eval.go).

type node any // one of the statements below

type (
	textNode struct{ text string }

	outputNode struct {
		line     int
		of       expr
		constant bool // it is value for any variables (see constant.go)
		value    any
	}

	ifNode struct {
		line     int
		branches []branch // if and elif
		orElse   []node
	}
	branch struct {
		test expr
		body []node
	}

	forNode struct {
		line      int
		target    expr
		over      expr
		test      expr // or nil
		recursive bool
		body      []node
		own       []string // names of the body (see symbols.go)
		orElse    []node
		elseOwn   []string
	}
	loopControl struct {
		line int
		stop bool // break; else continue
	}

	setNode struct {
		line   int
		target expr
		value  expr
	}
	// setBlock assigns the text of its body, filtered if filter is not nil.
	setBlock struct {
		line   int
		target expr
		filter expr
		body   []node
		own    []string
	}

	withNode struct {
		line    int
		targets []expr
		values  []expr
		body    []node
		own     []string
	}

	// macroNode is a macro, and the body of a call block, which has no name.
	macroNode struct {
		line     int
		name     string
		params   []string
		defaults []expr // of the last parameters
		body     []node
		own      []string
		caller   bool // the body uses caller
		kwargs   bool // the body uses kwargs
		varargs  bool // the body uses varargs
	}
	callBlock struct {
		line int
		call *callExpr
		body *macroNode
	}
	filterBlock struct {
		line   int
		filter expr
		body   []node
		own    []string
	}
	// scopeNode is a body with names of its own.
	scopeNode struct {
		line       int
		block      bool // a named block: it sees the names of the template's top level only
		autoescape bool // the value of an autoescape tag
		body       []node
		own        []string
	}
	// failNode raises when it is reached: includes, imports, autoescape with a variable.
	failNode struct {
		line        int
		class, text string
	}
)

type expr any // one of the expressions below

type (
	constExpr struct {
		value    any
		infinite bool // it has no literal in Python: reading it fails (see constant.go)
	}
	nameExpr struct {
		line int
		name string
	}
	// attrTarget is ns.x on the left of an assignment.
	attrTarget struct {
		line       int
		name, attr string
	}
	listExpr  struct{ items []expr }
	tupleExpr struct{ items []expr }
	dictExpr  struct{ keys, values []expr }

	attrExpr struct {
		line int
		of   expr
		name string
	}
	itemExpr struct {
		line int
		of   expr
		at   expr // a sliceExpr reads part of a sequence
	}
	sliceExpr struct{ from, to, step expr } // nil: none

	callExpr struct {
		line int
		of   expr
		args arguments
	}
	filterExpr struct {
		line int
		of   expr // nil: the text of a block
		name string
		args arguments
	}
	testExpr struct {
		line int
		of   expr
		name string
		args arguments
	}
	arguments struct {
		positional []expr
		names      []string // of named
		named      []expr
		star       expr // *args, or nil
		starStar   expr // **kwargs, or nil
	}

	unaryExpr struct {
		line int
		op   string // "-", "+", "not"
		of   expr
	}
	binaryExpr struct {
		line        int
		op          string
		left, right expr
	}
	logicExpr struct {
		and         bool // else or
		left, right expr
	}
	// compareExpr is a chain: a < b < c.
	compareExpr struct {
		line  int
		first expr
		ops   []string
		rest  []expr
	}
	concatExpr struct {
		line  int
		parts []expr
	}
	condExpr struct {
		test, then, orElse expr // orElse nil: undefined
	}
)
