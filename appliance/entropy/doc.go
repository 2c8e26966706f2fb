// Package entropy is the appliance's only source of chance.
//
// A Source is split into named streams, one for each place that needs chance
// ("netsim/esa/isn", "ping/id"): with one shared stream the order in which
// goroutines ask would decide who gets which number. From a seed every stream is
// reproducible; from the machine (System) none is, and keys may be made of it.
package entropy
