// Package entropy is the appliance's only source of random numbers.
//
// # Terms
//
//   - Source: what all random numbers of one process or world come from: the machine (System) or
//     a seed (Seeded).
//   - Stream: a sequence of random numbers of a Source, identified by a name. Each piece of code
//     that needs random numbers has its own stream ("netsim/esa/isn", "ping/id").
//
// Streams exist because of Seeded: the numbers of a stream depend on the seed and on the stream's
// name only. If everything shared one sequence, the order in which goroutines run would decide
// which of them gets which number, and no test could be repeated.
//
// The streams of System are unpredictable and differ with each call of Stream, so keys may be
// made from them.
package entropy
