package pcapfilter

// merge makes one block of those that do the same and lead to the same.
func (o *optimizer) merge() {
	var (
		buckets = make([]link, len(o.blocks))
		instead = make([]link, len(o.blocks))
	)
	for again := true; again; {
		again = false
		clear(buckets)
		clear(instead)
		o.walk++
		o.mark(o.root)
		for i := len(o.blocks) - 1; i >= 0; i-- {
			b := o.blocks[i]
			if b.visited != o.walk {
				continue
			}
			bucket := &buckets[b.hash()%uint32(len(buckets))]
			if equal := o.equalBlock(b, *bucket); equal != nil {
				instead[i] = equal.link()
			} else {
				b.nextEqual = *bucket
				*bucket = b.link()
			}
		}
		for _, b := range o.blocks {
			if b.returns() {
				continue
			}
			if to := o.linked(instead[b.yes.id]); to != nil {
				b.yes = to
				again = true
			}
			if to := o.linked(instead[b.no.id]); to != nil {
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

// hash is the same for equal blocks.
func (b *block) hash() uint32 {
	h := uint32(b.op)*31 + b.k
	if !b.returns() {
		h = (h*31+uint32(b.yes.id))*31 + uint32(b.no.id)
	}
	return h
}

// equalBlock returns the block in a bucket that is equal to b.
func (o *optimizer) equalBlock(b *block, bucket link) *block {
	for c := o.linked(bucket); c != nil; c = o.linked(c.nextEqual) {
		if b.op == c.op && b.k == c.k && b.yes == c.yes && b.no == c.no && sameStatements(b, c) {
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
