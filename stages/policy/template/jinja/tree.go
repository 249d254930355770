package jinja

// The tree of a template. Statements write text (exec.go), expressions have values (eval.go).

type node any // one of the statements below

type (
	textNode struct{ text string }

	outputNode struct {
		line     int
		of       expr
		escapes  bool // autoescape is on where it stands
		constant bool // it is value, a text, for any variables (see constant.go)
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
		recursive bool
		escapes   bool // of a recursive loop, whose text is a value
		body
		loop    int // the variable loop, or −1 if nothing reads it
		size    int // variables of a recursive loop, which is a function
		hasElse bool
		orElse  body

		test       expr // or nil
		testTarget expr // target, as the function sees it that test is
		testBody   routine
	}
	loopControl struct {
		line int
		stop bool // break; else continue
	}

	setNode struct {
		line    int
		target  expr
		value   expr
		exports []*nameExpr // at the top level
	}
	// setBlock assigns the text of its body, filtered if filter is not nil.
	setBlock struct {
		line    int
		target  expr
		filter  expr
		escapes bool
		body
		exports []*nameExpr
	}

	withNode struct {
		line    int
		targets []expr
		values  []expr
		body
	}

	// macroNode is a macro, and the body of a call block, which has no name.
	macroNode struct {
		line       int
		name       string
		at         int  // its variable
		export     bool // at the top level
		params     []string
		slots      []int  // the variables of params
		defaults   []expr // of the last parameters
		usesCaller bool   // the body reads caller, as an argument or a parameter
		caller     special
		kwargs     special
		varargs    special
		routine
	}
	// special is an argument that a macro has if its body reads the name.
	special struct {
		name string
		used bool
		slot int
	}
	callBlock struct {
		line int
		call *callExpr // or nil: generation
		body *macroNode
	}
	filterBlock struct {
		line    int
		filter  expr
		escapes bool
		body
	}
	autoescapeNode struct {
		line    int
		value   expr
		on      bool // the value, where it is constant
		unknown bool // it is not
		body
	}
	// blockNode is a named block. It sees only the context, and if it is scoped, the names around it, too.
	blockNode struct {
		line     int
		name     string
		scoped   bool
		required bool
		sees     []seen
		routine
	}
	seen struct {
		name string
		at   address
	}
	// loadNode is an include, an import or an extends. There is no loader: it fails when it is reached.
	loadNode struct {
		line     int
		template expr
		names    []string // that an import assigns
		extends  bool
		optional bool // an include that ignores a template that is missing
	}
)

// body is a list of statements with variables of its own.
type body struct {
	nodes []node
	enter []entry // what variables are when it begins
	leave []int   // variables that are missing behind it
}

type entry struct {
	slot int
	how  action
	name string  // fromContext
	from address // fromOuter
}

// routine is a body that is a function of Python, with size variables.
type routine struct {
	body
	size int
}

// address is a variable of the function that runs, or of one up functions around it.
type address struct{ up, slot int }

type expr any // one of the expressions below

type (
	constExpr struct {
		value    any
		infinite bool // Python has no literal for it: reading it fails (see constant.go)
		tooLong  bool // an integer with too many digits to be written: the template fails
	}
	nameExpr struct {
		line      int
		name      string
		at        address
		parameter bool // it has a value for sure, jinja2 thinks
	}
	// attrTarget is ns.x on the left of an assignment.
	attrTarget struct {
		line       int
		name, attr string
		at         address // of name
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
		line    int
		escapes bool // autoescape is on where it stands
		parts   []expr
	}
	condExpr struct {
		test, then, orElse expr // orElse nil: undefined
	}
)
