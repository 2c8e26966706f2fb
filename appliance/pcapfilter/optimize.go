package pcapfilter

// An optimizer shortens a program's graph.
//
// It makes the same transformations as libpcap's optimizer, in the same order, because their
// effects are visible: a load that was optimized away no longer rejects frames that are too
// short for it, and a test that was moved before another may accept a frame that the other
// would have rejected for that reason. The error "expression rejects all packets" also depends
// on the result.
//
// First the optimizer moves branches until nothing changes. An edge to a test whose outcome is
// known from earlier tests is redirected to the block that follows it (threadEdge). Tests of
// the same value are moved together (pullUp). Then statements are simplified. At the end equal
// blocks are merged.
type optimizer struct {
	root        *block
	blocks      []*block // reachable at the beginning; by id
	levels      []*block // first block of each level; flow.nextAtLevel is the next
	walk        int
	values      values
	testedEdges [2][]blockRef // see collectTests

	// Whether the current pass changed anything, and anything except for moving branches.
	changed, progress bool
}

// maxFruitlessPasses is the maximum number of consecutive passes that only move branches. More
// passes might move them in a circle.
const maxFruitlessPasses = 100

// maxOptimizedBlocks is the largest number of blocks of a graph that is optimized. Memory and
// time grow with its square or faster; libpcap takes seconds for this number. A program that is
// not optimized makes the same decisions about complete frames.
const maxOptimizedBlocks = 8192

// optimize returns the optimized graph.
func optimize(root *block) *block {
	o := &optimizer{root: root, walk: 1}
	o.numberBlocks(root)
	if len(o.blocks) > maxOptimizedBlocks {
		return root
	}
	o.allocateSets()
	o.runPasses(false)
	o.runPasses(true)
	o.merge()
	o.shortenRoot()
	return o.root
}

// fail reports an error that only the optimizer finds. It has no position.
func (o *optimizer) fail(message string) { fail(0, message) }

// noteChange records a change that makes progress, noteMove one that a later move may undo.
func (o *optimizer) noteChange() { o.changed, o.progress = true, true }
func (o *optimizer) noteMove()   { o.changed = true }

// runPasses makes passes until nothing changes.
func (o *optimizer) runPasses(statements bool) {
	for fruitless := 0; fruitless < maxFruitlessPasses; fruitless++ {
		o.changed, o.progress = false, false
		o.analyze()
		o.values.reset()
		o.findEdgesIn()
		o.findSoleEdges()
		o.topDown(func(b *block) { o.simplify(b, statements) })
		if !statements {
			o.moveBranches()
		}
		if !o.changed {
			return
		}
		if o.progress {
			fruitless = -1
		}
	}
}

// simplify computes the values of the atoms in a block and shortens the block.
func (o *optimizer) simplify(b *block, statements bool) {
	b.values = [atoms]valueNumber{}
	if b.in != nil {
		b.values = b.in.from.values
		for e := b.in.next; e != nil; e = e.next {
			for a := range b.values {
				if b.values[a] != e.from.values[a] {
					b.values[a] = unknown
				}
			}
		}
	}
	a, x := b.values[atomA], b.values[atomX]
	for i := range b.stmts {
		o.evaluate(&b.stmts[i], &b.values, statements)
	}
	// Nothing that the block computes is used later, or the atoms hold it already.
	idle := b.readAfter == 0 &&
		a != unknown && b.values[atomA] == a &&
		x != unknown && b.values[atomX] == x
	if statements && (idle || b.returns()) {
		if len(b.stmts) > 0 {
			b.stmts = nil
			o.noteChange()
		}
	} else {
		o.simplifyTest(b)
		o.removeDeadStores(b)
	}
	if b.op&srcX == 0 {
		b.operand = o.values.numberOfConstant(b.k)
	} else {
		b.operand = b.values[atomX]
	}
}

// shortenRoot removes blocks without a decision from the beginning of the program.
func (o *optimizer) shortenRoot() {
	stmts := o.root.stmts
	o.root.stmts = nil
	for !o.root.returns() && o.root.yes == o.root.no {
		o.root = o.root.yes
	}
	o.root.stmts = append(stmts[:len(stmts):len(stmts)], o.root.stmts...)
	if o.root.returns() {
		o.root.stmts = nil
	}
}
