package topology

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Encode returns the topology in the format of its files. Load reads it back: apart from File, the
// result is equal. Values that are not set are left out, and defaults that Load has filled in are
// written.
func (t *Topology) Encode() []byte {
	e := &encoder{}
	e.structure(reflect.ValueOf(t).Elem(), 0)
	return e.out.Bytes()
}

// An encoder writes Go values as YAML, in the way in which the decoder of this package reads them.
type encoder struct{ out bytes.Buffer }

// isUnset reports whether a value is left out. An empty list is written: it can mean something else
// than none.
func isUnset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.IsNil()
	case reflect.Struct:
		if scalarParser(v.Type()) != nil {
			return v.IsZero()
		}
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" && tag != "-" && !isUnset(v.Field(i)) {
				return false
			}
		}
		return true
	}
	return v.IsZero()
}

func (e *encoder) indent(depth int) { e.out.WriteString(strings.Repeat("  ", depth)) }

// structure writes the fields of a struct, one a line. Its first line is not indented if the cursor
// is not at the beginning of a line.
func (e *encoder) structure(v reflect.Value, depth int) {
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		if key == "" || key == "-" || isUnset(v.Field(i)) {
			continue
		}
		if n := e.out.Len(); n == 0 || e.out.Bytes()[n-1] == '\n' {
			e.indent(depth)
		}
		e.out.WriteString(key + ":")
		e.value(v.Field(i), depth)
	}
	if n := e.out.Len(); n > 0 && e.out.Bytes()[n-1] != '\n' { // nothing is set
		e.out.WriteString("{}\n")
	}
}

// value writes a value after its key, and the end of its last line.
func (e *encoder) value(v reflect.Value, depth int) {
	if text, ok := scalarText(v); ok {
		e.out.WriteString(" " + text + "\n")
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		e.out.WriteByte('\n')
		e.structure(v, depth+1)
	case reflect.Slice:
		e.list(v, depth)
	case reflect.Map:
		e.table(v, depth)
	default:
		panic("topology: no way to encode a " + v.Type().String())
	}
}

// list writes a list: of scalars on one line, of others with a dash before each.
func (e *encoder) list(v reflect.Value, depth int) {
	var words []string
	for i := range v.Len() {
		if text, ok := scalarText(v.Index(i)); ok {
			words = append(words, text)
		}
	}
	if len(words) == v.Len() {
		e.out.WriteString(" [" + strings.Join(words, ", ") + "]\n")
		return
	}
	e.out.WriteByte('\n')
	for i := range v.Len() {
		e.indent(depth + 1)
		e.out.WriteString("- ")
		e.structure(v.Index(i), depth+2)
	}
}

// table writes a map in the order of its keys.
func (e *encoder) table(v reflect.Value, depth int) {
	if v.Len() == 0 {
		e.out.WriteString(" {}\n")
		return
	}
	keys := map[string]reflect.Value{}
	var order []string
	for _, k := range v.MapKeys() {
		text, _ := scalarText(k)
		keys[text] = v.MapIndex(k)
		order = append(order, text)
	}
	slices.Sort(order)
	e.out.WriteByte('\n')
	for _, key := range order {
		e.indent(depth + 1)
		e.out.WriteString(key + ":")
		e.value(keys[key], depth+1)
	}
}

// scalarText returns a value that is written as one word or text; ok is false if v is another one.
func scalarText(v reflect.Value) (text string, ok bool) {
	switch x := v.Interface().(type) {
	case netip.Prefix:
		if x.IsSingleIP() && x == x.Masked() {
			return scalar(x.Addr().String()), true
		}
		return scalar(x.String()), true
	case netip.Addr, netip.AddrPort, MAC, TimeOfDay, UplinkTarget:
		return scalar(fmt.Sprint(x)), true
	case time.Duration:
		return scalar(x.String()), true
	case Bytes, BitRate:
		return strconv.FormatInt(v.Int(), 10), true
	case MailRate:
		word, _ := x.MarshalText() // it never fails
		if again, err := ParseMailRate(string(word)); err != nil || again != x {
			word = []byte(strconv.FormatFloat(float64(x), 'g', -1, 64) + "/h")
		}
		return scalar(string(word)), true
	case Span:
		word, _ := x.MarshalText() // it never fails
		return scalar(string(word)), true
	}
	switch v.Kind() {
	case reflect.String:
		return scalar(v.String()), true
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), true
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), true
	case reflect.Uint16:
		return strconv.FormatUint(v.Uint(), 10), true
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64), true
	}
	return "", false
}

// scalar returns a text as YAML reads it back: as it is if it can only be a text, and otherwise in
// quotes.
func scalar(text string) string {
	plain := text != "" && !slices.Contains([]string{"null", "Null", "NULL", "true", "false"}, text)
	for i, c := range []byte(text) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		other := c >= '0' && c <= '9' || c == '.' || c == '-' || c == '/' || c == '_'
		plain = plain && (letter || other && i > 0)
	}
	if plain {
		return text
	}
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(false)
	_ = j.Encode(text) // a string has a form in JSON, whose escapes YAML has too
	return strings.TrimSuffix(b.String(), "\n")
}
