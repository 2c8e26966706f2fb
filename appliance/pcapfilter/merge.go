package pcapfilter

// merge makes one block of those that do the same and lead to the same.
func (o *optimizer) merge() {
	var (
		buckets = make([]blockRef, len(o.blocks))
		instead = make([]blockRef, len(o.blocks))
	)
	for again := true; again; {
		again = false
		clear(buckets)
		clear(instead)
		o.walk++
		o.markReachable(o.root)
		for i := len(o.blocks) - 1; i >= 0; i-- {
			b := o.blocks[i]
			if b.visited != o.walk {
				continue
			}
			bucket := &buckets[b.hash()%uint32(len(buckets))]
			if equal := o.equalBlock(b, *bucket); equal != nil {
				instead[i] = equal.ref()
			} else {
				b.nextEqual = *bucket
				*bucket = b.ref()
			}
		}
		for _, b := range o.blocks {
			if b.returns() {
				continue
			}
			if to := o.blockAt(instead[b.yes.id]); to != nil {
				b.yes = to
				again = true
			}
			if to := o.blockAt(instead[b.no.id]); to != nil {
				b.no = to
				again = true
			}
		}
	}
}

// mark notes which blocks can still be reached.
func (o *optimizer) markReachable(b *block) {
	if b.visited == o.walk {
		return
	}
	b.visited = o.walk
	if !b.returns() {
		o.markReachable(b.yes)
		o.markReachable(b.no)
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
func (o *optimizer) equalBlock(b *block, bucket blockRef) *block {
	for c := o.blockAt(bucket); c != nil; c = o.blockAt(c.nextEqual) {
		if b.op == c.op && b.k == c.k && b.yes == c.yes && b.no == c.no && sameStatements(b, c) {
			return c
		}
	}
	return nil
}

func sameStatements(a, b *block) bool {
	i, j := 0, 0
	for {
		s, at := a.nextLive(i)
		t, bt := b.nextLive(j)
		if s == nil || t == nil {
			return s == nil && t == nil
		}
		if s.op != t.op || s.k != t.k {
			return false
		}
		i, j = at+1, bt+1
	}
}
