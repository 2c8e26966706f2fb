package topology

import (
	"fmt"
	"hash/crc32"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// Prepared returns the topology, which Load has read from text, in a form that LoadPrepared reads
// many times as fast. It is the format of Encode after a line that names text by its checksum.
func (t *Topology) Prepared(text []byte) []byte {
	given := *t
	given.Appliance.Interfaces = append([]Interface(nil), t.Appliance.Interfaces...)
	for i, derived := range t.derivedMACs {
		if derived { // setDefaults derives it again
			given.Appliance.Interfaces[i].MAC = MAC{}
		}
	}
	return append([]byte(preparedHead(text)), given.Encode()...)
}

// preparedHead returns the first line of the prepared form of text.
func preparedHead(text []byte) string {
	return fmt.Sprintf("# Generated from a file with the checksum %08x\n", crc32.ChecksumIEEE(text))
}

// LoadPrepared returns the topology that Load reads from text, from its prepared form. The caller
// must know that text has no mistakes: nothing is checked. ok is false if prepared is not a
// prepared form of text; then the caller uses Load. text must not be changed afterwards.
func LoadPrepared(name string, text, prepared []byte, servers ServerTypes) (t *Topology, ok bool) {
	rest, ok := strings.CutPrefix(string(prepared), preparedHead(text))
	if !ok {
		return nil, false
	}
	t = &Topology{File: name, source: &source{file: name, text: text}}
	r := &preparedReader{rest: rest, ok: true, names: make(map[reflect.Type][]string)}
	r.advance()
	r.structure(reflect.ValueOf(t).Elem(), 0)
	if !r.ok || !r.ended {
		return nil, false
	}
	t.setDefaults(servers)
	return t, true
}

// A source is the file of a topology that was loaded from its prepared form. Its positions are
// looked up when the first error needs one.
type source struct {
	file string
	text []byte
	once sync.Once
	at   positions
}

// positions returns the positions of the values in the file.
func (s *source) positions() positions {
	s.once.Do(func() {
		d := &decoder{file: s.file, at: make(positions)}
		_ = d.document(s.text, new(Topology)) // the file has been loaded before
		s.at = d.at
	})
	return s.at
}

// A preparedReader reads what an encoder has written, and nothing else: one value a line, lists of
// scalars within a line, and two blanks for a level.
type preparedReader struct {
	rest   string // after the current line
	line   string // the current line, without its indentation
	indent int
	ended  bool // there is no current line
	ok     bool // false: the text is not what an encoder writes
	names  map[reflect.Type][]string
}

// advance goes to the next line.
func (r *preparedReader) advance() {
	if r.rest == "" {
		r.line, r.indent, r.ended = "", -1, true
		return
	}
	line, rest, _ := strings.Cut(r.rest, "\n")
	r.line = strings.TrimLeft(line, " ")
	r.indent, r.rest = len(line)-len(r.line), rest
}

// fields returns the keys of the fields of a struct type, in their order; "" is a field without.
func (r *preparedReader) fields(t reflect.Type) []string {
	names, ok := r.names[t]
	if !ok {
		for i := range t.NumField() {
			names = append(names, strings.TrimPrefix(t.Field(i).Tag.Get("yaml"), "-"))
		}
		r.names[t] = names
	}
	return names
}

// structure reads the fields of a struct, whose lines are indented by indent.
func (r *preparedReader) structure(v reflect.Value, indent int) {
	if r.line == "{}" {
		r.advance()
		return
	}
	names := r.fields(v.Type())
	for r.ok && r.indent == indent && !strings.HasPrefix(r.line, "- ") {
		key, value, found := strings.Cut(r.line, ":")
		field := -1
		for i, name := range names {
			if name == key && key != "" {
				field = i
				break
			}
		}
		if r.ok = found && field >= 0; r.ok {
			r.value(v.Field(field), value, indent)
		}
	}
}

// value reads the value of a key whose line is indented by indent. text is what follows the key's
// colon.
func (r *preparedReader) value(v reflect.Value, text string, indent int) {
	r.advance()
	isScalar := scalarParser(v.Type()) != nil
	switch kind := v.Kind(); {
	case !isScalar && text == "" && kind == reflect.Struct:
		r.structure(v, indent+2)
	case !isScalar && text == "" && kind == reflect.Slice:
		r.list(v, indent+2)
	case !isScalar && kind == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if text != " {}" {
			r.ok = text == ""
			r.table(v, indent+2)
		}
	case !isScalar && kind == reflect.Slice:
		r.words(v, text)
	case !isScalar && kind == reflect.Struct:
		r.ok = false
	default:
		rest := r.scalar(v, strings.TrimPrefix(text, " "))
		r.ok = r.ok && rest == ""
	}
}

// list reads a list of structs, whose dashes are indented by indent.
func (r *preparedReader) list(v reflect.Value, indent int) {
	for r.ok && r.indent == indent && strings.HasPrefix(r.line, "- ") {
		r.line, r.indent = r.line[len("- "):], indent+2
		n := v.Len()
		v.Grow(1)
		v.SetLen(n + 1)
		if r.ok = v.Index(n).Kind() == reflect.Struct; r.ok {
			r.structure(v.Index(n), indent+2)
		}
	}
}

// words reads a list of scalars: " [a, b]".
func (r *preparedReader) words(v reflect.Value, text string) {
	inner, ok := strings.CutPrefix(text, " [")
	if !ok {
		r.ok = false
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, strings.Count(inner, ",")+1))
	for r.ok && inner != "]" {
		n := v.Len()
		v.Grow(1)
		v.SetLen(n + 1)
		inner = strings.TrimPrefix(r.scalar(v.Index(n), inner), ", ")
	}
}

// table reads a map, whose keys are indented by indent.
func (r *preparedReader) table(v reflect.Value, indent int) {
	for r.ok && r.indent == indent {
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		text, ok := strings.CutPrefix(r.scalar(key, r.line), ":")
		if r.ok = r.ok && ok; r.ok {
			r.value(elem, text, indent)
			v.SetMapIndex(key, elem)
		}
	}
}

// scalar reads a scalar at the beginning of text, and returns what follows it.
func (r *preparedReader) scalar(v reflect.Value, text string) (rest string) {
	word := text
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			r.ok = false
			return ""
		}
		rest = text[len(quoted):]
		word, err = strconv.Unquote(quoted)
		r.ok = r.ok && err == nil
	} else if i := strings.IndexAny(text, ",]:"); i >= 0 {
		word, rest = text[:i], text[i:]
	}
	if parse := scalarParser(v.Type()); parse != nil {
		r.ok = r.ok && parse(word, v) == ""
		return rest
	}
	parse := parseString
	switch v.Kind() {
	case reflect.String:
	case reflect.Bool:
		parse = parseBool
	case reflect.Int, reflect.Int64, reflect.Uint16:
		parse = parseInt
	case reflect.Float64:
		parse = parseFloat
	default:
		r.ok = false
		return rest
	}
	r.ok = r.ok && parse(word, v) == ""
	return rest
}
