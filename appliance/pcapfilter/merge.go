package pcapfilter

// merge makes one block of those that do the same and lead to the same.
func (o *optimizer) merge() {
	type signature struct {
		op      uint16
		k       uint32
		yes, no *block
	}
	var (
		found   = map[signature]*block{}
		instead = make([]*block, len(o.blocks))
	)
	for again := true; again; {
		again = false
		clear(found)
		clear(instead)
		o.walk++
		o.mark(o.root)
		for i := len(o.blocks) - 1; i >= 0; i-- {
			b := o.blocks[i]
			if b.visited != o.walk {
				continue
			}
			key := signature{b.op, b.k, b.yes, b.no}
			instead[i] = equalBlock(b, found[key])
			if instead[i] == nil {
				b.nextEqual = found[key]
				found[key] = b
			}
		}
		for _, b := range o.blocks {
			if b.returns() {
				continue
			}
			if to := instead[b.yes.id]; to != nil {
				b.yes = to
				again = true
			}
			if to := instead[b.no.id]; to != nil {
				b.no = to
				again = true
			}
		}
	}
}

// mark notes which blocks can still be reached.
func (o *optimizer) mark(b *block) {
	if b.visited == o.walk {
		return
	}
	b.visited = o.walk
	if !b.returns() {
		o.mark(b.yes)
		o.mark(b.no)
	}
}

// equalBlock returns the block among first and those alike whose statements are b's.
func equalBlock(b, first *block) *block {
	for c := first; c != nil; c = c.nextEqual {
		if sameStatements(b, c) {
			return c
		}
	}
	return nil
}

func sameStatements(a, b *block) bool {
	i, j := 0, 0
	for {
		s, at := a.live(i)
		t, bt := b.live(j)
		if s == nil || t == nil {
			return s == nil && t == nil
		}
		if s.op != t.op || s.k != t.k {
			return false
		}
		i, j = at+1, bt+1
	}
}
