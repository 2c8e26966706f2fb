package pcapfilter

// merge makes one block of those that do the same and lead to the same.
func (o *optimizer) merge() {
	instead := make([]*block, len(o.blocks))
	for again := true; again; {
		again = false
		clear(instead)
		o.walk++
		o.mark(o.root)
		for i := len(o.blocks) - 2; i >= 0; i-- {
			for j := i + 1; j < len(o.blocks); j++ {
				if o.marked(i) && o.marked(j) && equalBlocks(o.blocks[i], o.blocks[j]) {
					instead[i] = o.blocks[j]
					if instead[j] != nil {
						instead[i] = instead[j]
					}
					break
				}
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

func (o *optimizer) marked(i int) bool { return o.blocks[i].visited == o.walk }

func equalBlocks(a, b *block) bool {
	if a.op != b.op || a.k != b.k || a.yes != b.yes || a.no != b.no {
		return false
	}
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
