package pcapfilter

// merge merges equal blocks: those with the same statements, comparison and successors.
func (o *optimizer) merge() {
	var (
		buckets     = make([]blockRef, len(o.blocks))
		replacement = make([]blockRef, len(o.blocks))
	)
	for changed := true; changed; {
		changed = false
		clear(buckets)
		clear(replacement)
		o.walk++
		o.markReachable(o.root)
		for i := len(o.blocks) - 1; i >= 0; i-- {
			b := o.blocks[i]
			if b.visited != o.walk {
				continue
			}
			bucket := &buckets[b.hash()%uint32(len(buckets))]
			if equal := o.equalBlock(b, *bucket); equal != nil {
				replacement[i] = equal.ref()
			} else {
				b.nextEqual = *bucket
				*bucket = b.ref()
			}
		}
		for _, b := range o.blocks {
			if b.returns() {
				continue
			}
			if to := o.blockAt(replacement[b.yes.id]); to != nil {
				b.yes = to
				changed = true
			}
			if to := o.blockAt(replacement[b.no.id]); to != nil {
				b.no = to
				changed = true
			}
		}
	}
}

// markReachable marks all blocks that can still be reached from b.
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

// hash returns the same value for equal blocks.
func (b *block) hash() uint32 {
	h := uint32(b.op)*31 + b.k
	if !b.returns() {
		h = (h*31+uint32(b.yes.id))*31 + uint32(b.no.id)
	}
	return h
}

// equalBlock returns the block in a bucket that is equal to b, or nil.
func (o *optimizer) equalBlock(b *block, bucket blockRef) *block {
	for c := o.blockAt(bucket); c != nil; c = o.blockAt(c.nextEqual) {
		if b.op == c.op && b.k == c.k && b.yes == c.yes && b.no == c.no && sameStatements(b, c) {
			return c
		}
	}
	return nil
}

// sameStatements reports whether two blocks have the same statements, apart from those that were
// optimized away.
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
