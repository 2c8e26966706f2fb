package topology

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A decoder fills Go values from a YAML tree. The module's own decoder speaks of
// Go's types in its errors, and forgets where values stood, which the checks need
// later.
type decoder struct {
	file string
	at   positions
}

func (d *decoder) errorAt(tok *token.Token, format string, args ...any) error {
	at := positionOf(tok)
	return &Error{File: d.file, Line: at.line, Column: at.column, Message: oneLine(fmt.Sprintf(format, args...))}
}

// document decodes data, which must be one YAML document, into v.
func (d *decoder) document(data []byte, v any) (err error) {
	defer func() {
		// The parser is a third party's and its input anybody's.
		if r := recover(); r != nil {
			err = &Error{File: d.file, Message: "this cannot be read as YAML"}
		}
	}()
	file, err := parser.ParseBytes(data, 0)
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
		return &Error{File: d.file, Message: fmt.Sprintf("this holds %d documents, expected one", len(bodies))}
	}
	return d.value("", bodies[0], reflect.ValueOf(v).Elem())
}

// value decodes n into v.
func (d *decoder) value(path string, n ast.Node, v reflect.Value) error {
	d.at[path] = positionOf(start(n))
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return d.errorAt(n.GetToken(), "anchors, aliases and tags are not understood here, expected the value itself")
	}
	if parse, ok := scalars[v.Type()]; ok {
		return d.scalar(n, v, parse)
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.structure(path, n, v)
	case reflect.Slice:
		return d.list(path, n, v)
	case reflect.Map:
		return d.table(path, n, v)
	case reflect.String:
		return d.scalar(n, v, parseString)
	case reflect.Bool:
		return d.scalar(n, v, parseBool)
	case reflect.Int, reflect.Int64, reflect.Uint16:
		return d.scalar(n, v, parseInt)
	case reflect.Float64:
		return d.scalar(n, v, parseFloat)
	}
	panic("topology: no way to decode a " + v.Type().String())
}

// start is where n begins. A mapping's own token is the colon after its first key.
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

// entries are the keys and values of a mapping, in their order.
func (d *decoder) entries(n ast.Node, expected string) ([]*ast.MappingValueNode, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	}
	return nil, d.errorAt(n.GetToken(), "%s here, expected %s", describe(n), expected)
}

func (d *decoder) structure(path string, n ast.Node, v reflect.Value) error {
	fields := make(map[string]int)
	var names []string
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "-" && name != "" {
			fields[name] = i
			names = append(names, name)
		}
	}
	entries, err := d.entries(n, "keys out of "+strings.Join(names, ", "))
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
			return d.errorAt(e.Key.GetToken(), "unknown key %q, expected one of %s", key, strings.Join(names, ", "))
		}
		if err := d.value(join(path, key), e.Value, v.Field(i)); err != nil {
			return err
		}
		// What says 0 where that is no limit, or any, has counted to nothing.
		if expected := v.Type().Field(i).Tag.Get("given"); expected != "" && v.Field(i).IsZero() {
			return d.errorAt(e.Value.GetToken(), "%s 0, expected %s", key, expected)
		}
	}
	return nil
}

func (d *decoder) table(path string, n ast.Node, v reflect.Value) error {
	entries, err := d.entries(n, "keys with values")
	if err != nil {
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
		parse, ok := scalars[key.Type()]
		if !ok {
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

// key is an entry's key, which must be new.
func (d *decoder) key(e *ast.MappingValueNode, seen map[string]bool) (string, error) {
	tok := e.Key.GetToken()
	if _, ok := e.Key.(ast.ScalarNode); !ok || tok == nil {
		return "", d.errorAt(tok, "this key is no text, expected a name")
	}
	key := tok.Value
	if seen[key] {
		return "", d.errorAt(tok, "key %q a second time, expected it once", key)
	}
	seen[key] = true
	return key, nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) list(path string, n ast.Node, v reflect.Value) error {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return d.errorAt(n.GetToken(), "%s here, expected a list", describe(n))
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, item := range seq.Values {
		if err := d.value(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, parse parseFunc) error {
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
		return d.errorAt(n.GetToken(), "%s here, expected %s", describe(n), expected)
	default:
		text = n.GetToken().Value
	}
	if expected := parse(text, v); expected != "" {
		return d.errorAt(n.GetToken(), "%q here, expected %s", text, expected)
	}
	return nil
}

// describe says what kind of thing n is, for a message.
func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys with values"
	}
	return strconv.Quote(n.GetToken().Value)
}

// A parseFunc sets v from a scalar's text, or says what it expected.
type parseFunc func(text string, v reflect.Value) (expected string)

// scalars are the types that are written as one word.
var scalars = map[reflect.Type]parseFunc{
	reflect.TypeFor[netip.Addr]():     parseWith(parseAddr, "an IP address such as 10.0.202.7 or 2001:db8::7"),
	reflect.TypeFor[netip.AddrPort](): parseWith(netip.ParseAddrPort, "an IP address and a port such as 10.0.202.7:25 or [2001:db8::7]:25"),
	reflect.TypeFor[netip.Prefix]():   parseWith(parsePrefix, "an IP address or a network such as 10.0.202.0/24"),
	reflect.TypeFor[time.Duration]():  parseWith(parseDuration, "a time such as 350us or 2ms"),
	reflect.TypeFor[MAC]():            parseWith(parseMAC, "an Ethernet address such as 00:50:56:01:02:03"),
	reflect.TypeFor[Bytes]():          parseWith(parseBytes, "a size such as 512MiB or 1GiB"),
	reflect.TypeFor[BitRate]():        parseWith(parseBitRate, "bits a second such as 64k, 1.5M or 1G"),
}

func parseWith[T any](parse func(string) (T, error), expected string) parseFunc {
	return func(text string, v reflect.Value) string {
		x, err := parse(text)
		if err != nil {
			return expected
		}
		v.Set(reflect.ValueOf(x))
		return ""
	}
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err == nil && (a.Zone() != "" || a.Is4In6()) {
		err = errors.New("of another kind")
	}
	return a, err
}

// parsePrefix takes an address for the network of that address alone.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := parseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return a.Prefix(a.BitLen())
	}
	return netip.ParsePrefix(s)
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, err
}

func parseMAC(s string) (MAC, error) {
	h, err := net.ParseMAC(s)
	if err != nil || len(h) != 6 {
		return MAC{}, errors.New("no Ethernet address")
	}
	return MAC(h), nil
}

func parseBytes(s string) (Bytes, error) {
	unit := Bytes(1)
	for _, u := range []struct {
		suffix string
		size   Bytes
	}{{"KiB", KiB}, {"MiB", MiB}, {"GiB", GiB}} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || Bytes(n) > (1<<62)/unit {
		return 0, errors.New("no size")
	}
	return Bytes(n) * unit, nil
}

func parseBitRate(s string) (BitRate, error) {
	unit := 1.0
	if n := len(s) - 1; n > 0 && strings.Contains("kMG", s[n:]) {
		unit = map[byte]float64{'k': 1e3, 'M': 1e6, 'G': 1e9}[s[n]]
		s = s[:n]
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || x < 0 || x*unit > 1e15 || x != x {
		return 0, errors.New("no rate")
	}
	return BitRate(x * unit), nil
}

func parseString(text string, v reflect.Value) string {
	v.SetString(text)
	return ""
}

func parseBool(text string, v reflect.Value) string {
	if !slices.Contains([]string{"true", "false"}, text) {
		return "true or false"
	}
	v.SetBool(text == "true")
	return ""
}

func parseInt(text string, v reflect.Value) string {
	if v.Kind() == reflect.Uint16 {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return "a whole number from 0 to 65535"
		}
		v.SetUint(n)
		return ""
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return "a whole number"
	}
	v.SetInt(n)
	return ""
}

func parseFloat(text string, v reflect.Value) string {
	number, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f != f {
		return "a number such as 0.05, or 5%"
	}
	if percent {
		f /= 100
	}
	v.SetFloat(f)
	return ""
}
