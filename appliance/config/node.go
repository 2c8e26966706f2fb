package config

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A node is an element of the configuration's XML form. It has either text or children.
type node struct {
	Name     string
	Attrs    []attr
	Text     string
	Children []*node
	line     int
}

type attr struct{ Name, Value string }

// child returns the first child of that name, or nil if there is none. n may be nil.
func (n *node) child(name string) *node {
	if n != nil {
		for _, c := range n.Children {
			if c.Name == name {
				return c
			}
		}
	}
	return nil
}

func (n *node) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// An XMLError says where and why a file cannot be read. Its text is for the administrator; it is
// not a sentence, because the command line and the page print a line number before it.
type XMLError struct {
	Line int // 0 if the error belongs to no line
	Text string
	// Element is the name of the element that the error is about, and Value its text if it has one;
	// both are "" if it is about no element.
	Element, Value string
}

func (e *XMLError) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

func xmlErrorf(n *node, format string, a ...any) error {
	return &XMLError{
		Line: n.line, Text: fmt.Sprintf(format, a...),
		Element: n.Name, Value: strings.TrimSpace(n.Text),
	}
}

// limits bound what reading a file may cost.
type limits struct {
	bytes int64
	nodes int
	depth int
}

// parse reads one XML document into a tree.
func parse(r io.Reader, l limits) (*node, error) {
	in := &io.LimitedReader{R: r, N: l.bytes + 1}
	dec := xml.NewDecoder(in)
	dec.CharsetReader = charset
	type element struct {
		*node
		text []byte
	}
	var root *node
	var open []element
	nodes := 0
	for {
		tok, err := dec.Token()
		line, _ := dec.InputPos()
		if in.N <= 0 {
			return nil, &XMLError{Line: line, Text: fmt.Sprintf("the file is larger than %d bytes", l.bytes)}
		}
		if err == io.EOF {
			break
		}
		var syntax *xml.SyntaxError
		if errors.As(err, &syntax) {
			return nil, &XMLError{Line: syntax.Line, Text: syntax.Msg}
		}
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &node{Name: qualified(tok.Name), line: line}
			for _, a := range tok.Attr {
				n.Attrs = append(n.Attrs, attr{qualified(a.Name), a.Value})
			}
			switch nodes++; {
			case nodes > l.nodes:
				return nil, xmlErrorf(n, "the file has more than %d elements", l.nodes)
			case len(open) == l.depth:
				return nil, xmlErrorf(n, "<%s> is nested too deeply", n.Name)
			case len(open) > 0:
				top := open[len(open)-1].node
				top.Children = append(top.Children, n)
			case root != nil:
				return nil, xmlErrorf(n, "<%s> follows the end of <%s>", n.Name, root.Name)
			default:
				root = n
			}
			open = append(open, element{node: n})
		case xml.EndElement:
			done := open[len(open)-1]
			open = open[:len(open)-1]
			if len(done.Children) == 0 || len(bytes.TrimSpace(done.text)) > 0 { // not mere indentation
				done.Text = string(done.text)
			}
		case xml.CharData:
			if len(open) > 0 {
				top := &open[len(open)-1]
				top.text = append(top.text, tok...)
			} else if len(bytes.TrimSpace(tok)) > 0 {
				return nil, &XMLError{Line: line, Text: "text outside of any element"}
			}
		}
	}
	if root == nil {
		return nil, &XMLError{Text: "the file holds no XML"}
	}
	return root, nil
}

// qualified returns a name with its name space, so that schemas do not know it.
func qualified(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

// charset decodes the encodings that AsyncOS's files declare.
func charset(label string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "iso-8859-1", "latin1", "us-ascii", "ascii":
		return &latin1{r: bufio.NewReader(r)}, nil
	}
	return nil, &XMLError{Line: 1, Text: fmt.Sprintf("the encoding %q is not supported", label)}
}

// latin1 converts ISO-8859-1 to UTF-8.
type latin1 struct {
	r    *bufio.Reader
	rest []byte
}

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		b, err := l.r.ReadByte()
		if err != nil {
			return 0, err
		}
		l.rest = utf8.AppendRune(l.rest[:0], rune(b))
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// write writes n and its descendants, one element per line, indented.
func (n *node) write(w *bufio.Writer, indent int) {
	pad := strings.Repeat("  ", indent)
	w.WriteString(pad + "<" + n.Name)
	for _, a := range n.Attrs {
		w.WriteString(" " + a.Name + `="` + escape(a.Value) + `"`)
	}
	w.WriteString(">")
	if len(n.Children) == 0 {
		w.WriteString(escape(n.Text))
	} else {
		w.WriteString("\n")
		for _, c := range n.Children {
			c.write(w, indent+1)
		}
		w.WriteString(pad)
	}
	w.WriteString("</" + n.Name + ">\n")
}

// escape returns s in XML's ASCII form, which is the same in every encoding that an editor may
// assume.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '\t' || r == '\n' || r == '\r' || r > '~' && r != utf8.RuneError:
			fmt.Fprintf(&b, "&#x%X;", r)
		case r < ' ' || r == utf8.RuneError: // XML has no form for it
			b.WriteString("&#xFFFD;")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// bytes returns n as write writes it.
func (n *node) bytes() []byte {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	n.write(w, 0)
	w.Flush() //nolint:errcheck // a bytes.Buffer returns no errors
	return b.Bytes()
}

// tree returns the value as a tree, which the caller may change.
func (e *entry) tree() *node {
	text := e.xml()
	n, err := parse(bytes.NewReader(text), limits{int64(len(text)), len(text), len(text)})
	if err != nil {
		panic(fmt.Sprintf("config: %s: %v", text, err)) // unreachable: encode made it
	}
	return n
}
