// Package dissect shows people what is in a capture: a list of packets in the manner of
// tcpdump and its relatives, one packet layer by layer, a TCP connection as text, and how
// much there was over time.
//
//	c, err := dissect.Open(file, size)
//	all, err := c.Scan(ctx, nil, nil)           // one pass over the file
//	some, err := c.Scan(ctx, filter, nil)       // likewise, of what a filter selects
//	rows, err := c.Rows(ctx, some, all, 0, 100) // the first hundred
//	p, err := c.Packet(ctx, all, 17)
//	s, err := c.Follow(ctx, all, 17)
//
// # Large files
//
// Nothing reads a file into memory. A Scan notes where every 256th packet begins that the
// filter selects, so that a page of the list costs the reading of a few hundred packets at
// most, wherever it is. What a Scan keeps is bounded whatever the file holds: the marks of
// three million packets take less than 200 KB, the chart has 120 columns at most, whose
// width doubles when they do not suffice, and the connections whose beginnings are
// remembered are 50,000.
//
// Follow keeps up to MaxStream bytes in up to MaxParts parts, and a bounded number of
// pieces that came before their time: files are strangers', and may be made to cost much.
//
// A file that grows is scanned on from where the last Scan ended.
//
// # Numbers
//
// Sequence and acknowledgement numbers are relative to the SYN of their connection, so
// that the first byte has number 1, where the file holds that SYN (A3). Otherwise they are
// those of the packet.
//
// # Names
//
// Addresses are numbers. Ports below 1024 have the names that the registry gives them
// ("shell" for 514), as higher ones are mostly nobody's.
package dissect
