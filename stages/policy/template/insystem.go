package template

// toolsPrefix is put before a chat template that leaves tools out. It writes them into the system message, in
// the words of Hermes and Qwen, and hides them from the template behind it. The template stays one text, so
// that every reader of the model, transformers and llama.cpp too, renders the same.
const toolsPrefix = `{#- Tools are written into the system message, since the template below leaves them out. -#}
{%- if tools -%}
    {%- set itool = namespace(text='', turns=messages) -%}
    {%- if messages and messages[0]['role'] == 'system' -%}
        {%- set itool.text = messages[0]['content'] + '\n\n' -%}
        {%- set itool.turns = messages[1:] -%}
    {%- endif -%}
    {%- set itool.text = itool.text + '# Tools\n\nYou may call one or more functions to assist with the user query.' +
        '\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>' -%}
    {%- for tool in tools -%}
        {%- set itool.text = itool.text + '\n' + (tool | tojson) -%}
    {%- endfor -%}
    {%- set itool.text = itool.text + '\n</tools>\n\nFor each function call, return a json object with function name ' +
        'and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n' +
        '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>' -%}
    {%- set messages = [{'role': 'system', 'content': itool.text}] + itool.turns -%}
    {%- set tools = none -%}
{%- endif %}
`

// ToolsInSystem returns source with a beginning that writes tools into the system message: for templates that
// leave tools out. The form is that of Hermes and Qwen; answers in it are <tool_call> blocks.
func ToolsInSystem(source string) string { return toolsPrefix + source }
