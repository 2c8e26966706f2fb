package pcapfilter

// An optimizer shortens a program's graph.
//
// It makes the transformations that libpcap's makes, in the same order, since
// they can be observed: a load that is optimised away can no longer reject a frame
// that is too short for it, and a test that is moved before another may accept a
// frame that the other would have rejected so. And "expression rejects all
// packets" is said when, and only when, it finds that out.
//
// First only branches are moved, until nothing changes: an edge that leads to a
// test whose outcome is known from the tests before is led on to where that test
// would lead (thread). Tests of the same value are moved together (pullUp). Then
// statements are simplified. In the end equal blocks become one.
type optimizer struct {
	root        *block
	blocks      []*block // those that could be reached at the beginning, by id
	levels      []*block // of each level the first; flow.nextAtLevel leads on
	walk        int
	values      values
	testedEdges [2][]blockRef // of collectTests

	// What the pass did: anything, and anything but moving branches.
	changed, progress bool
}

// movesInVain is the number of passes in a row that may do nothing but move
// branches: more may be moving them in a circle.
const maxFruitlessPasses = 100

// maxOptimized is the number of blocks up to which a graph is optimised. Memory
// and time grow with the square of it and more; at this number libpcap is busy for
// seconds. A longer program decides the same about whole frames.
const maxOptimizedBlocks = 8192

// optimize returns the optimised graph.
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

// fail refuses the expression for what only the optimiser sees.
func (o *optimizer) fail(message string) { fail(0, message) }

// changed notes a change that brings progress, moved one that may be undone by
// the next.
func (o *optimizer) noteChange() { o.changed, o.progress = true, true }
func (o *optimizer) noteMove()   { o.changed = true }

// repeat makes passes until nothing changes.
func (o *optimizer) runPasses(statements bool) {
	for vain := 0; vain < maxFruitlessPasses; vain++ {
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
			vain = -1
		}
	}
}

// simplify follows the values through a block and shortens it.
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
	// Nothing that the block computes is used later, or it is there already.
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

// shortenRoot makes the program begin where something is decided.
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
