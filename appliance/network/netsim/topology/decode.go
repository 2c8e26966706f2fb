package topology

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A decoder fills Go values from a YAML tree. It replaces the module's own decoder, whose
// errors name Go types, and which does not keep the positions that the checks need later.
type decoder struct {
	file string
	at   positions // of all values that have been decoded
	// alone says that the value is no part of a file, so that errors name no place in one.
	alone bool
}

// here returns the word by which errors point at their place in a file.
func (d *decoder) here() string {
	if d.alone {
		return ""
	}
	return " here"
}

// errorAt returns an error about a token.
func (d *decoder) errorAt(tok *token.Token, format string, args ...any) *Error {
	at, message := positionOf(tok), oneLine(fmt.Sprintf(format, args...))
	return &Error{File: d.file, Line: at.line, Column: at.column, Message: message}
}

// document decodes data, which must be one YAML document, into v.
func (d *decoder) document(data []byte, v any) (err error) {
	defer func() {
		// The parser is not ours, and its input may come from anywhere.
		if r := recover(); r != nil {
			err = &Error{File: d.file, Message: "the file cannot be read as YAML"}
		}
	}()
	if len(data) > maxFileSize {
		message := fmt.Sprintf("the file has %d bytes, expected at most %d", len(data), maxFileSize)
		return &Error{File: d.file, Message: message}
	}
	tokens := lexer.Tokenize(string(data))
	if tok := tooDeep(tokens); tok != nil {
		return d.errorAt(tok, "values are nested more than %d deep, expected fewer levels", maxDepth)
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			return d.errorAt(syntax.GetToken(), "%s", syntax.GetMessage())
		}
		return &Error{File: d.file, Message: oneLine(err.Error())}
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			bodies = append(bodies, doc.Body)
		}
	}
	if len(bodies) != 1 {
		message := fmt.Sprintf("the file has %d documents, expected one", len(bodies))
		return &Error{File: d.file, Message: message}
	}
	return d.value("", bodies[0], reflect.ValueOf(v).Elem())
}

// value decodes n into v. path is that of n.
func (d *decoder) value(path string, n ast.Node, v reflect.Value) error {
	d.at[path] = positionOf(start(n))
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return d.errorAt(n.GetToken(),
			"anchors, aliases and tags are not supported, expected the value itself")
	}
	if parse := scalarParser(v.Type()); parse != nil {
		return d.scalar(path, n, v, parse)
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.structure(path, n, v)
	case reflect.Slice:
		return d.list(path, n, v)
	case reflect.Map:
		return d.table(path, n, v)
	case reflect.String:
		return d.scalar(path, n, v, parseString)
	case reflect.Bool:
		return d.scalar(path, n, v, parseBool)
	case reflect.Int, reflect.Int64, reflect.Uint16:
		return d.scalar(path, n, v, parseInt)
	case reflect.Float64:
		return d.scalar(path, n, v, parseFloat)
	}
	panic("topology: no way to decode a " + v.Type().String())
}

// start returns the token where n begins. A mapping's own token is the colon after its first key.
func start(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

// entries returns the keys and values of a mapping, in their order. expected is for the error.
func (d *decoder) entries(n ast.Node, expected string) ([]*ast.MappingValueNode, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	}
	return nil, d.errorAt(n.GetToken(), "%s%s, expected %s", describe(n), d.here(), expected)
}

// structure decodes a mapping into a struct. Each key must be the yaml tag of a field. A
// field with a tag nonzero may be left out but not be zero; the tag says what is expected.
func (d *decoder) structure(path string, n ast.Node, v reflect.Value) error {
	fields := make(map[string]int)
	var names []string
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "-" && name != "" {
			fields[name] = i
			names = append(names, name)
		}
	}
	entries, err := d.entries(n, "a mapping with any of the keys "+strings.Join(names, ", "))
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, e := range entries {
		key, err := d.key(e, seen)
		if err != nil {
			return err
		}
		i, ok := fields[key]
		if !ok {
			return d.errorAt(e.Key.GetToken(),
				"unknown key %q, expected one of %s", key, strings.Join(names, ", "))
		}
		if err := d.value(join(path, key), e.Value, v.Field(i)); err != nil {
			return err
		}
		// The zero value means "no limit" or "any". A zero that is written down, for example
		// by a script that counts down to it, means something else.
		if expected := v.Type().Field(i).Tag.Get("nonzero"); expected != "" && v.Field(i).IsZero() {
			mistake := d.errorAt(e.Value.GetToken(), "%s 0, expected %s", key, expected)
			mistake.Path = join(path, key)
			return mistake
		}
	}
	return nil
}

// table decodes a mapping into a map.
func (d *decoder) table(path string, n ast.Node, v reflect.Value) error {
	entries, err := d.entries(n, "a mapping")
	if err != nil {
		return err
	}
	if err := d.checkLength(n, path, len(entries)); err != nil {
		return err
	}
	v.Set(reflect.MakeMap(v.Type()))
	seen := make(map[string]bool)
	for _, e := range entries {
		name, err := d.key(e, seen)
		if err != nil {
			return err
		}
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		parse := scalarParser(key.Type())
		if parse == nil {
			parse = parseString
		}
		if expected := parse(name, key); expected != "" {
			return d.errorAt(e.Key.GetToken(), "key %q, expected %s", name, expected)
		}
		if err := d.value(join(path, name), e.Value, elem); err != nil {
			return err
		}
		v.SetMapIndex(key, elem)
	}
	return nil
}

// key returns the key of an entry, which must not be in seen, and adds it to seen.
func (d *decoder) key(e *ast.MappingValueNode, seen map[string]bool) (string, error) {
	tok := e.Key.GetToken()
	if _, ok := e.Key.(ast.ScalarNode); !ok || tok == nil {
		return "", d.errorAt(tok, "this key is not text, expected a name")
	}
	key := tok.Value
	if seen[key] {
		return "", d.errorAt(tok, "key %q appears twice, expected it once", key)
	}
	seen[key] = true
	return key, nil
}

// join returns the path of a key in the value at path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// list decodes a sequence into a slice.
func (d *decoder) list(path string, n ast.Node, v reflect.Value) error {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return d.errorAt(n.GetToken(), "%s%s, expected a list", describe(n), d.here())
	}
	if err := d.checkLength(n, path, len(seq.Values)); err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, item := range seq.Values {
		if err := d.value(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// scalar decodes a value that is one word or text.
func (d *decoder) scalar(path string, n ast.Node, v reflect.Value, parse parseFunc) error {
	var text string
	switch n := n.(type) {
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.StringNode:
		text = n.Value
	case *ast.NullNode, *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		expected := parse("\x00", reflect.New(v.Type()).Elem())
		if expected == "" { // a string takes everything
			expected = "a text"
		}
		mistake := d.errorAt(n.GetToken(), "%s%s, expected %s", describe(n), d.here(), expected)
		mistake.Path = path
		return mistake
	default:
		text = n.GetToken().Value
	}
	if expected := parse(text, v); expected != "" {
		mistake := d.errorAt(n.GetToken(), "%q%s, expected %s", text, d.here(), expected)
		mistake.Path = path
		return mistake
	}
	return nil
}

// describe returns the kind or the text of n, for a message.
func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	}
	return strconv.Quote(n.GetToken().Value)
}
