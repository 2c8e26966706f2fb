package pcapfilter

// foreign parses primitives of other link layers and of other systems' packet
// filters. They have a grammar, but no meaning for a frame of Ethernet; nil if
// none begins here.
func (p *parser) foreign() node {
	return nil
}

func (p *parser) wlan() node {
	return nil
}
