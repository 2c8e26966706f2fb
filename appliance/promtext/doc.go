// Package promtext writes figures in the text format of Prometheus, version 0.0.4, which
// Prometheus and everything that reads its targets understands.
//
// # Terms
//
// A family is all samples of one name, with a text that explains it and a kind. A sample is a value
// with labels, which tell it from the other samples of its family.
//
// # How it is used
//
//	err := promtext.Write(w, []promtext.Family{{
//		Name: "esasim_sessions", Help: "Open sessions.", Kind: promtext.Gauge,
//		Samples: []promtext.Sample{{Labels: []promtext.Label{{"service", "cli"}}, Value: 2}},
//	}})
//
// # Decisions
//
// The module of Prometheus would add 4 MB to the program, for a format of three kinds of lines. It
// checks in tests what this package writes. Families are written in the order of their names, so
// that two answers can be compared. Histograms and summaries are not supported: nothing measures
// them.
package promtext
