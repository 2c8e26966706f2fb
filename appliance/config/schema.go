package config

import (
	"encoding"
	"encoding/xml"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A schema describes the element that a value of some type is written as. encoding/xml ignores
// unknown elements, but a mistyped element in a file must be an error.
type schema struct {
	name     string
	repeated bool               // it is a list: the element may occur any number of times
	optional bool               // a value may be written without the element
	secret   string             // "", "hash" or "text"
	text     func(string) error // checks the text; nil if the element may have none
	attrs    map[string]func(string) error
	children []*schema
}

func (s *schema) child(name string) *schema {
	for _, c := range s.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	xmlMarshaler    = reflect.TypeFor[xml.Marshaler]()
	xmlUnmarshaler  = reflect.TypeFor[xml.Unmarshaler]()
)

// schemaOf returns the schema of t as an element called name. It panics if t has no plain XML form.
func schemaOf(t reflect.Type, name string) *schema {
	s := &schema{name: name}
	for t.Kind() == reflect.Pointer {
		t, s.optional = t.Elem(), true
	}
	if p := reflect.PointerTo(t); p.Implements(xmlMarshaler) || p.Implements(xmlUnmarshaler) {
		panic(fmt.Sprintf("config: %s: %v has an XML form of its own; give it a text form", name, t))
	}
	if s.text = textOf(t); s.text != nil {
		return s
	}
	switch t.Kind() {
	case reflect.Slice:
		s = schemaOf(t.Elem(), name)
		if s.repeated {
			panic(fmt.Sprintf("config: %s: a list of lists", name))
		}
		s.repeated, s.optional = true, true
	case reflect.Struct:
		s.addFields(t)
	default:
		panic(fmt.Sprintf("config: %s: %v has no XML form", name, t))
	}
	return s
}

func (s *schema) addFields(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, flags, _ := strings.Cut(f.Tag.Get("xml"), ",")
		switch {
		case tag == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct && textOf(f.Type) == nil:
			s.addFields(f.Type)
			continue
		case f.Name == "XMLName" || strings.Contains(tag, " "):
			panic(fmt.Sprintf("config: %v.%s: XMLName and name spaces are not supported", t, f.Name))
		case tag == "":
			tag = f.Name
		}
		s.addField(f, strings.Split(tag, ">"), strings.Split(flags, ","))
	}
}

func (s *schema) addField(f reflect.StructField, path, flags []string) {
	last := path[len(path)-1]
	optional := false
	for _, flag := range flags {
		switch flag {
		case "":
		case "omitempty":
			optional = true
		case "attr":
			if s.attrs == nil {
				s.attrs = map[string]func(string) error{}
			}
			if s.attrs[last] = textOf(f.Type); s.attrs[last] == nil {
				panic(fmt.Sprintf("config: %s: attribute %s has no text form", s.name, last))
			}
			return
		case "chardata":
			s.text = textOf(f.Type)
			return
		default:
			panic(fmt.Sprintf("config: %s: the tag %q of %s is not supported", s.name, flag, f.Name))
		}
	}
	c := schemaOf(f.Type, last)
	c.optional = c.optional || optional
	at := s
	for _, name := range path[:len(path)-1] {
		next := at.child(name)
		if next == nil {
			next = &schema{name: name, optional: true}
			at.children = append(at.children, next)
		}
		at = next
		at.optional = at.optional && c.optional // encoding/xml omits an element that would be empty
	}
	c.secret = f.Tag.Get("secret")
	if c.secret != "" && (c.secret != "hash" && c.secret != "text" || c.text == nil) {
		panic(fmt.Sprintf("config: %s: the tag secret %q of %s is not supported",
			s.name, c.secret, f.Name))
	}
	at.children = append(at.children, c)
}

// textOf returns a function that checks the text form of t, or nil if t is not written as text.
func textOf(t reflect.Type) func(string) error {
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return func(s string) error {
			return reflect.New(t).Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
		}
	}
	check := func(expected string, parse func(s string) error) func(string) error {
		return func(s string) error {
			if s = strings.TrimSpace(s); s != "" && parse(s) != nil {
				return fmt.Errorf("%q is not %s", s, expected)
			}
			return nil
		}
	}
	switch t.Kind() {
	case reflect.String:
		return func(string) error { return nil }
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return func(string) error { return nil }
		}
	case reflect.Bool:
		return check("true or false", func(s string) error {
			_, err := strconv.ParseBool(s)
			return err
		})
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return check("a whole number in range", func(s string) error {
			_, err := strconv.ParseInt(s, 10, t.Bits())
			return err
		})
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return check("a whole number in range", func(s string) error {
			_, err := strconv.ParseUint(s, 10, t.Bits())
			return err
		})
	case reflect.Float32, reflect.Float64:
		return check("a number", func(s string) error {
			_, err := strconv.ParseFloat(s, t.Bits())
			return err
		})
	}
	return nil
}

// check returns an *XMLError for the first element, attribute or text in n that s does not allow.
func (s *schema) check(n *node) error {
	for _, a := range n.Attrs {
		check := s.attrs[a.Name]
		if check == nil {
			return xmlErrorf(n, "unknown attribute %s of <%s>", a.Name, n.Name)
		}
		if err := check(a.Value); err != nil {
			return xmlErrorf(n, "attribute %s of <%s>: %v", a.Name, n.Name, err)
		}
	}
	if text := n.Text; s.text != nil {
		if err := s.text(text); err != nil {
			return xmlErrorf(n, "<%s>: %v", n.Name, err)
		}
	} else if strings.TrimSpace(text) != "" {
		return xmlErrorf(n, "<%s> may not hold text", n.Name)
	}
	seen := map[string]bool{}
	for _, c := range n.Children {
		cs := s.child(c.Name)
		if cs == nil {
			return xmlErrorf(c, "unknown element <%s> in <%s>", c.Name, n.Name)
		}
		if seen[c.Name] && !cs.repeated {
			return xmlErrorf(c, "<%s> appears twice in <%s>", c.Name, n.Name)
		}
		seen[c.Name] = true
		if err := cs.check(c); err != nil {
			return err
		}
	}
	return nil
}

// addMissing adds the elements that n lacks from base. It does not add lists and optional
// elements: leaving them out is the way to write that they are empty.
func (s *schema) addMissing(n, base *node) {
	for _, cs := range s.children {
		if cs.repeated {
			continue
		}
		present, from := n.child(cs.name), base.child(cs.name)
		switch {
		case from == nil:
		case present != nil:
			cs.addMissing(present, from)
		case !cs.optional:
			n.Children = append(n.Children, from)
		}
	}
}
