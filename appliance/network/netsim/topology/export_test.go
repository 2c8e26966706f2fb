package topology

// DerivedMACs reports of each interface whether its MAC is a default.
func (t *Topology) DerivedMACs() []bool { return t.derivedMACs }
