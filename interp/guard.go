// This file defines what keeps an evaluation within its limits: operations
// that could grow without bound in one step are checked beforehand, and a
// watchdog ends an evaluation whose memory or time runs away.

package interp

import (
	"fmt"
	"os"
	"runtime/metrics"
	"sync"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"starfall/interp/plan"
)

const (
	maxBytes  = 1 << 20 // of one string, and of what is made into one
	maxItems  = 100_000 // of one list, tuple or range
	maxBits   = 4096    // of one int
	pollEvery = 2 * time.Millisecond
)

// binaryName and attrName are names that no scenario can write. They stand for
// checked operators and for checked methods in the compiled tree.
const (
	binaryName = "checked operator "
	attrName   = "checked attribute"
)

// growing are the methods that can make much out of little.
func growing(name string) bool {
	switch name {
	case "replace", "join", "format", "encode", "indent", "extend":
		return true
	}
	return false
}

// instrument replaces operators and attributes by calls that check sizes first.
// Positions stay. It gives the
// places where it cannot: x() *= y would have to call x twice.
func instrument(f *syntax.File) (refused []syntax.Position) {
	syntax.Walk(f, func(n syntax.Node) bool {
		if s, ok := n.(*syntax.AssignStmt); ok && s.Op > syntax.PLUS_EQ {
			// += is left alone: it changes a list in place, and only doubles.
			if op := s.Op - syntax.PLUS_EQ + syntax.PLUS; grows(op) {
				if calls(s.LHS) {
					refused = append(refused, s.OpPos)
				}
				x := s.LHS
				if id, ok := x.(*syntax.Ident); ok {
					x = &syntax.Ident{NamePos: id.NamePos, Name: id.Name}
				}
				s.RHS = &syntax.BinaryExpr{X: x, OpPos: s.OpPos, Op: op, Y: s.RHS}
				s.Op = syntax.EQ
			}
		}
		rewriteChildren(n)
		return true
	})
	return refused
}

// calls reports whether x contains a call.
func calls(x syntax.Expr) bool {
	found := false
	syntax.Walk(x, func(n syntax.Node) bool {
		if _, ok := n.(*syntax.CallExpr); ok {
			found = true
		}
		return !found
	})
	return found
}

func grows(op syntax.Token) bool {
	return op == syntax.PLUS || op == syntax.STAR || op == syntax.PERCENT || op == syntax.LTLT
}

// rewrite gives the checked form of an expression, its operands untouched:
// the walk comes to them later.
func rewrite(x syntax.Expr) syntax.Expr {
	switch x := x.(type) {
	case *syntax.BinaryExpr:
		if !grows(x.Op) {
			return x
		}
		return checkedCall(x, binaryName+x.Op.String(), x.OpPos, x.X, x.Y)
	case *syntax.DotExpr:
		if !growing(x.Name.Name) {
			return x
		}
		name := &syntax.Literal{Token: syntax.STRING, TokenPos: x.Name.NamePos, Raw: `"` + x.Name.Name + `"`, Value: x.Name.Name}
		return checkedCall(x, attrName, x.Dot, x.X, name)
	}
	return x
}

// checkedCall calls fn in the place of x. It spans what x spans, and errors
// are at x's operator.
func checkedCall(x syntax.Expr, fn string, at syntax.Position, args ...syntax.Expr) syntax.Expr {
	start, end := x.Span()
	end.Col-- // a call ends behind its parenthesis
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: start, Name: fn}, Lparen: at, Args: args, Rparen: end}
}

func rewriteAll(list []syntax.Expr) {
	for i, x := range list {
		// A named argument is a BinaryExpr too, but its operator is =.
		list[i] = rewrite(x)
	}
}

// rewriteChildren replaces the expressions that n holds.
func rewriteChildren(n syntax.Node) {
	set := func(x *syntax.Expr) {
		if *x != nil {
			*x = rewrite(*x)
		}
	}
	switch n := n.(type) {
	case *syntax.ExprStmt:
		set(&n.X)
	case *syntax.IfStmt:
		set(&n.Cond)
	case *syntax.AssignStmt:
		set(&n.RHS) // the left side is a place, not a value
	case *syntax.ForStmt:
		set(&n.X)
	case *syntax.ReturnStmt:
		set(&n.Result)
	case *syntax.CallExpr:
		set(&n.Fn)
		rewriteAll(n.Args)
	case *syntax.Comprehension:
		set(&n.Body)
	case *syntax.CondExpr:
		set(&n.Cond)
		set(&n.True)
		set(&n.False)
	case *syntax.ListExpr:
		rewriteAll(n.List)
	case *syntax.TupleExpr:
		rewriteAll(n.List)
	case *syntax.DictEntry:
		set(&n.Key)
		set(&n.Value)
	case *syntax.ForClause:
		set(&n.X)
	case *syntax.IfClause:
		set(&n.Cond)
	case *syntax.IndexExpr:
		set(&n.X)
		set(&n.Y)
	case *syntax.DotExpr:
		set(&n.X)
	case *syntax.LambdaExpr:
		set(&n.Body)
	case *syntax.ParenExpr:
		set(&n.X)
	case *syntax.SliceExpr:
		set(&n.X)
		set(&n.Lo)
		set(&n.Hi)
		set(&n.Step)
	case *syntax.UnaryExpr:
		set(&n.X)
	case *syntax.BinaryExpr:
		if n.Op != syntax.EQ {
			set(&n.X)
		}
		set(&n.Y)
	case *syntax.DefStmt:
		rewriteAll(n.Params)
	}
}

// guard adds the checked operators to the predeclared words, and replaces the
// functions of Starlark that can make much out of little.
func guard(words starlark.StringDict) {
	for _, op := range []syntax.Token{syntax.PLUS, syntax.STAR, syntax.PERCENT, syntax.LTLT} {
		words[binaryName+op.String()] = starlark.NewBuiltin(op.String(), checkedBinary(op))
	}
	words[attrName] = starlark.NewBuiltin("attribute", checkedAttr)
	words["getattr"] = starlark.NewBuiltin("getattr", checkedGetattr)
	words["range"] = starlark.NewBuiltin("range", checkedRange)
	words["zip"] = starlark.NewBuiltin("zip", checkedZip)
	for _, name := range []string{"str", "repr", "print", "fail", "hash", "bytes"} {
		words[name] = starlark.NewBuiltin(name, weighed(starlark.Universe[name].(*starlark.Builtin)))
	}
}

func checkedBinary(op syntax.Token) func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	return func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		x, y := args[0], args[1]
		if err := checkOperands(op, x, y); err != nil {
			return nil, err
		}
		return starlark.Binary(op, x, y)
	}
}

// checkOperands refuses what would become too large.
func checkOperands(op syntax.Token, x, y starlark.Value) error {
	switch op {
	case syntax.PERCENT:
		if s, ok := x.(starlark.String); ok {
			return checkWeight(weight(y, maxBytes-len(s)) + len(s))
		}
	case syntax.LTLT, syntax.STAR:
		a, aInt := x.(starlark.Int)
		b, bInt := y.(starlark.Int)
		switch {
		case aInt && bInt && op == syntax.LTLT:
			return checkBits(a.BigInt().BitLen() + shift(b))
		case aInt && bInt:
			return checkBits(a.BigInt().BitLen() + b.BigInt().BitLen())
		case aInt && op == syntax.STAR:
			return checkRepeat(y, a)
		case bInt && op == syntax.STAR:
			return checkRepeat(x, b)
		}
	case syntax.PLUS:
		n, unit := length(x)
		m, _ := length(y)
		return checkLength(n+m, unit)
	}
	return nil
}

func shift(n starlark.Int) int {
	if v, ok := n.Int64(); ok && v >= 0 && v <= maxBits {
		return int(v)
	}
	return 0 // Starlark refuses it
}

func checkBits(n int) error {
	if n > maxBits {
		return fmt.Errorf("got an int of more than %d bits", maxBits)
	}
	return nil
}

func checkRepeat(v starlark.Value, times starlark.Int) error {
	n, unit := length(v)
	if n == 0 || times.Sign() <= 0 {
		return nil
	}
	if t, ok := times.Int64(); !ok || t > maxBytes {
		return checkLength(maxBytes+1, unit)
	} else {
		return checkLength(n*int(t), unit)
	}
}

// length gives the size of a string or sequence and what is counted.
func length(v starlark.Value) (int, string) {
	switch v := v.(type) {
	case starlark.String:
		return len(v), "bytes"
	case starlark.Bytes:
		return len(v), "bytes"
	case *starlark.List:
		return v.Len(), "elements"
	case starlark.Tuple:
		return v.Len(), "elements"
	}
	return 0, ""
}

func checkLength(n int, unit string) error {
	switch {
	case unit == "bytes" && n > maxBytes:
		return fmt.Errorf("got a string of more than %d bytes", maxBytes)
	case unit == "elements" && n > maxItems:
		return fmt.Errorf("got a list of more than %d elements", maxItems)
	}
	return nil
}

// weight estimates how long v is when it is written out, up to a limit. What
// is shared counts each time, as it is written each time.
func weight(v starlark.Value, limit int) int { return weightAt(v, limit, 0) }

// deepest is where weight stops looking: a list may contain itself, and what
// doubles on each of so many levels is too long long before.
const deepest = 60

func weightAt(v starlark.Value, limit, depth int) int {
	if limit < 0 || depth > deepest {
		return 1
	}
	n := 0
	each := func(x starlark.Value) bool {
		n += 2 + weightAt(x, limit-n, depth+1)
		return n <= limit
	}
	switch v := v.(type) {
	case starlark.String:
		return len(v) + 2
	case starlark.Bytes:
		return len(v) + 3
	case starlark.Int:
		return 1 + v.BigInt().BitLen()/3
	case *starlark.Dict:
		if v.Len() > limit {
			return v.Len()
		}
		for _, item := range v.Items() {
			if !each(item[0]) || !each(item[1]) {
				break
			}
		}
		return n + 2
	case starlark.Iterable:
		it := v.Iterate()
		defer it.Done()
		for x := starlark.Value(nil); it.Next(&x); {
			if !each(x) {
				break
			}
		}
		return n + 2
	case *starlarkstruct.Struct:
		for _, name := range v.AttrNames() {
			if x, err := v.Attr(name); err == nil && !each(x) {
				break
			}
		}
		return n + 8
	}
	return 16
}

func checkWeight(n int) error {
	if n > maxBytes {
		return fmt.Errorf("got a string of more than %d bytes", maxBytes)
	}
	return nil
}

func weighAll(args starlark.Tuple, kwargs []starlark.Tuple) error {
	n := weight(args, maxBytes)
	for _, kv := range kwargs {
		n += weight(kv[1], maxBytes-n)
	}
	return checkWeight(n)
}

// weighed calls fn when its arguments are not too long to be written out.
func weighed(fn *starlark.Builtin) func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	return func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if err := weighAll(args, kwargs); err != nil {
			return nil, err
		}
		return fn.CallInternal(thread, args, kwargs)
	}
}

// checkedAttr is x.name for the methods that can make much out of little.
func checkedAttr(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return attrOf(args[0], string(args[1].(starlark.String)))
}

func attrOf(x starlark.Value, name string) (starlark.Value, error) {
	has, ok := x.(starlark.HasAttrs)
	if !ok {
		return nil, fmt.Errorf("%s has no .%s field or method", x.Type(), name)
	}
	v, err := has.Attr(name)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, fmt.Errorf("%s has no .%s field or method", x.Type(), name)
	}
	fn, ok := v.(*starlark.Builtin)
	if !ok || !growing(name) {
		return v, nil
	}
	switch x.(type) {
	case starlark.String, starlark.Bytes, *starlark.List, *starlark.Dict, *starlark.Set, *starlarkstruct.Module:
	default:
		return v, nil // a word of the language
	}
	checked := func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if err := checkMethod(x, name, args, kwargs); err != nil {
			return nil, err
		}
		return fn.CallInternal(thread, args, kwargs)
	}
	return starlark.NewBuiltin(name, checked).BindReceiver(x), nil
}

// checkMethod estimates what a growing method of x would make.
func checkMethod(x starlark.Value, name string, args starlark.Tuple, kwargs []starlark.Tuple) error {
	if err := weighAll(args, kwargs); err != nil {
		return err
	}
	s, isString := x.(starlark.String)
	switch {
	case name == "extend":
		n, unit := length(x)
		return checkLength(n+starlark.Len(argument(args)), unit)
	case isString && name == "replace" && len(args) >= 2:
		by, _ := starlark.AsString(args[1])
		return checkLength((len(s)+1)*(len(by)+1), "bytes")
	case isString && name == "join":
		return checkLength(weight(args, maxBytes)+len(s)*max(0, starlark.Len(argument(args))), "bytes")
	case isString && name == "format":
		return checkLength(len(s)*(1+weight(args, maxBytes)), "bytes")
	}
	return nil
}

func argument(args starlark.Tuple) starlark.Value {
	if len(args) == 0 {
		return starlark.None
	}
	return args[0]
}

func checkedGetattr(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := starlark.Universe["getattr"].(*starlark.Builtin).CallInternal(thread, args, kwargs)
	if err != nil || len(args) < 2 {
		return v, err
	}
	if name, ok := starlark.AsString(args[1]); ok && growing(name) {
		if has, ok := args[0].(starlark.HasAttrs); ok {
			if x, err := has.Attr(name); err == nil && x != nil {
				return attrOf(args[0], name)
			}
		}
	}
	return v, nil
}

func checkedRange(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := starlark.Universe["range"].(*starlark.Builtin).CallInternal(thread, args, kwargs)
	if err != nil {
		return nil, err
	}
	if n := starlark.Len(v); n > maxItems {
		return nil, fmt.Errorf("range: got %d elements, want at most %d", n, maxItems)
	}
	return v, nil
}

func checkedZip(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	rows := maxItems
	for _, a := range args {
		if n := starlark.Len(a); n >= 0 {
			rows = min(rows, n)
		}
	}
	if n := rows * len(args); n > 10*maxItems {
		return nil, fmt.Errorf("zip: got %d elements, want at most %d", n, 10*maxItems)
	}
	return starlark.Universe["zip"].(*starlark.Builtin).CallInternal(thread, args, kwargs)
}

// watchdog ends an evaluation by cancelling its thread.
type watchdog struct {
	cancelled chan struct{} // closed when the thread was told to stop
	gone      chan struct{} // closed when it did not
	done      chan struct{}
	mu        sync.Mutex
	why       string
	once      sync.Once
	ended     sync.WaitGroup
}

// watch cancels thread when the heap has grown by more than the limit, or when
// too much time has gone by. Only end ends it.
func watch(thread *starlark.Thread, limits Limits) *watchdog {
	w := &watchdog{cancelled: make(chan struct{}), gone: make(chan struct{}), done: make(chan struct{})}
	before := heap()
	deadline := time.Now().Add(limits.Time)
	w.ended.Go(func() {
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
			}
			why := ""
			switch {
			case heap() > before+limits.Memory:
				why = fmt.Sprintf("more than %d MB of memory", limits.Memory>>20)
			case time.Now().After(deadline):
				why = fmt.Sprintf("more than %s", limits.Time)
			default:
				continue
			}
			w.mu.Lock()
			w.why = why
			w.mu.Unlock()
			thread.Cancel(why)
			close(w.cancelled)
			return
		}
	})
	return w
}

// heap gives the bytes of the heap in use.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func (w *watchdog) reason() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

func (w *watchdog) giveUp() { w.once.Do(func() { close(w.gone) }) }

func (w *watchdog) end() {
	close(w.done)
	w.ended.Wait()
}

// printTo writes what a scenario prints to standard error.
func printTo(pos plan.Pos, text string) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", pos, text)
}
