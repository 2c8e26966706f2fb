package config

import "strconv"

// A Difference is an element of the configuration that a change touches.
type Difference struct {
	Name string // the element: "interface"
	Key  string // which one of a list, by the first of its values: "Data 1"
	Kind DifferenceKind
	// Old and New are the values of an element without elements in it. Passphrases
	// are masked.
	Old, New string
	// Within is what differs in the element, in the order of showconfig; all there
	// is in it, if it was added or removed. An altered list without any had its
	// order changed.
	Children []Difference
}

// Kind says what became of an element.
type DifferenceKind int

// Kinds of Difference.
const (
	Altered DifferenceKind = iota
	Added
	Removed
)

// Changes tells what the draft alters, section by section in the order of
// showconfig.
func (d *Draft) Changes() []Difference { return differences(d.snapshot()) }

func differences(edits map[*spec]edit) []Difference {
	var all []Difference
	for _, s := range sortedSpecs(edits) {
		e := edits[s]
		diff, _ := s.schema.diff(e.was.tree(), e.now.tree())
		all = append(all, diff)
	}
	return all
}

// diff compares two elements of which one may be nil; differ is false if they are
// the same.
func (s *schema) diff(old, new *node) (d Difference, differ bool) {
	d.Name = s.name
	switch {
	case old == nil:
		d.Kind = Added
	case new == nil:
		d.Kind = Removed
	}
	if s.repeated {
		if d.Key = s.key(new); new == nil {
			d.Key = s.key(old)
		}
	}
	d.Old, d.New = s.value(old), s.value(new)
	for _, cs := range s.children {
		d.Children = append(d.Children, cs.diffAll(old.all(cs.name), new.all(cs.name))...)
	}
	if len(d.Children) == 0 && s.text == nil && !s.repeated {
		return d, old != nil && new != nil && !old.equal(new) // an empty list came or went with what it is in
	}
	return d, d.Kind != Altered || len(d.Children) > 0 || !old.equal(new)
}

// diffAll compares the elements described by s in two parents, those of a list by
// their keys.
func (s *schema) diffAll(old, new []*node) []Difference {
	key := func(n *node) string {
		if s.repeated {
			return s.key(n)
		}
		return ""
	}
	left := map[string][]*node{}
	for _, n := range old {
		left[key(n)] = append(left[key(n)], n)
	}
	var all []Difference
	paired := map[*node]bool{}
	for _, n := range new {
		var from *node
		if same := left[key(n)]; len(same) > 0 {
			from, left[key(n)] = same[0], same[1:]
			paired[from] = true
		}
		if d, differ := s.diff(from, n); differ {
			all = append(all, d)
		}
	}
	for _, n := range old {
		if !paired[n] {
			d, _ := s.diff(n, nil)
			all = append(all, d)
		}
	}
	return all
}

// value is the text of a leaf, with its attributes, as it may be shown.
func (s *schema) value(n *node) string {
	if n == nil || s.text == nil {
		return ""
	}
	text := n.Text
	if s.secret != "" && text != "" {
		text = mask
	}
	for _, a := range n.Attrs {
		text += " (" + a.Name + " " + strconv.Quote(a.Value) + ")"
	}
	return text
}

// key tells the elements of a list apart: AsyncOS writes the name first.
func (s *schema) key(n *node) string {
	switch {
	case s == nil || n == nil || s.secret != "":
		return ""
	case len(n.Children) > 0:
		return s.child(n.Children[0].Name).key(n.Children[0])
	}
	return n.Text
}

func (n *node) all(name string) []*node {
	var all []*node
	if n != nil {
		for _, c := range n.Children {
			if c.Name == name {
				all = append(all, c)
			}
		}
	}
	return all
}

func (n *node) equal(o *node) bool {
	return n != nil && o != nil && string(n.bytes()) == string(o.bytes())
}
