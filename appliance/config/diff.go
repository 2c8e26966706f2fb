package config

import "strconv"

// A Difference is an element that differs between two configurations.
type Difference struct {
	Name string // of the element: "interface"
	Key  string // of an element of a list: its first value, such as "Data 1"
	Kind DifferenceKind
	// Old and New are the values of an element without child elements. Passphrases are masked.
	Old, New string
	// Children are the differences within the element, in the order of showconfig. If the element
	// was added or removed, they are all its children. A list that was altered and has none
	// differs in its order only.
	Children []Difference
}

// A DifferenceKind says how an element differs.
type DifferenceKind int

// The kinds of differences.
const (
	Altered DifferenceKind = iota
	Added
	Removed
)

// Changes returns the differences between the draft and the committed values that it started from,
// one for each changed section, in the order of showconfig.
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

// diff compares two elements of which one may be nil; differ reports whether they differ.
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
		// An empty list that was added or removed is part of its parent's difference.
		return d, old != nil && new != nil && !old.equal(new)
	}
	return d, d.Kind != Altered || len(d.Children) > 0 || !old.equal(new)
}

// diffAll compares the elements that s describes in two parents. It pairs the elements of a list
// by their keys.
func (s *schema) diffAll(old, new []*node) []Difference {
	key := func(n *node) string {
		if s.repeated {
			return s.key(n)
		}
		return ""
	}
	unpaired := map[string][]*node{}
	for _, n := range old {
		unpaired[key(n)] = append(unpaired[key(n)], n)
	}
	var all []Difference
	paired := map[*node]bool{}
	for _, n := range new {
		var from *node
		if same := unpaired[key(n)]; len(same) > 0 {
			from, unpaired[key(n)] = same[0], same[1:]
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

// value returns the text of an element without children as it may be shown, with its attributes.
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

// key returns what distinguishes an element of a list from the others: its first value, because
// AsyncOS writes the name first.
func (s *schema) key(n *node) string {
	switch {
	case s == nil || n == nil || s.secret != "":
		return ""
	case len(n.Children) > 0:
		return s.child(n.Children[0].Name).key(n.Children[0])
	}
	return n.Text
}

// all returns the children of that name. n may be nil.
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
