// Package dissect shows people the content of a capture: a list of packets in the manner of
// tcpdump and Wireshark, one packet layer by layer, a TCP connection as text, and the amount
// of traffic over time.
//
//	c, err := dissect.Open(file, size)
//	all, err := c.Scan(ctx, nil, nil)                   // one pass over the file
//	some, err := c.Scan(ctx, filter, nil)               // the same for the packets of a filter
//	rows, err := c.Rows(ctx, some, all, filter, 0, 100) // the first hundred rows
//	p, err := c.Packet(ctx, all, 17)
//	s, err := c.Follow(ctx, all, 17, 0, dissect.MaxStreamBytes)
//
// # Terms
//
// An Index is the result of a Scan. A packet is selected if it matches the filter of the Scan.
// A packet's number is its position in the file, from 1; a filter does not change it. A mark
// is the position of every 256th selected packet in the file. A flow is one direction of a TCP
// connection.
//
// # Large files
//
// No function reads a whole file into memory. Because of the marks, a page of the list costs
// reading a few hundred packets at most, wherever the page is. An Index is bounded whatever
// the file contains: the marks of three million packets take less than 200 KB, the chart has
// at most 120 columns, whose width doubles when they do not suffice, and the first numbers of
// up to 50,000 flows are remembered.
//
// Follow keeps at most MaxStreamBytes bytes in at most MaxStreamParts parts, and a bounded
// number of segments that arrived early, because a file may have been made by a stranger to
// be expensive.
//
// A Scan of a growing file continues where the previous Scan ended.
//
// # Sequence numbers
//
// Sequence and acknowledgement numbers are relative to the SYN of their connection, so that
// the first byte has number 1 (A3). If the file does not contain the SYN, the first byte of the
// connection in the file has number 1. Index.WithAbsoluteNumbers shows the numbers of the packets.
// The numbers of connections beyond the bound on SYNs are those of the packets, too.
//
// # Names
//
// Addresses are shown as numbers. Ports below 1024 are shown with their registered names
// ("shell" for 514). Higher ports are numbers, because most of them are chosen at random.
package dissect
