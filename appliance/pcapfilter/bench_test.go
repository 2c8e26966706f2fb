package pcapfilter_test

import (
	"testing"

	"golang.org/x/net/bpf"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

var benchmarkExprs = []string{
	"tcp port 25",
	"host 10.1.1.1",
	"host 10.1.1.1 and tcp port 25",
	"not (tcp port 80 or udp port 53) and host 10.1.1.1",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
}

func BenchmarkCompile(b *testing.B) {
	for _, expr := range benchmarkExprs {
		b.Run(expr, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pcapfilter.Compile(expr, pcapfilter.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMatch runs filters on mixed frames, with Match and with the machine of x/net/bpf.
func BenchmarkMatch(b *testing.B) {
	frames := makeFrames(1000)
	for _, expr := range benchmarkExprs {
		f := compile(b, expr, pcapfilter.Options{})
		b.Run("ours/"+expr, func(b *testing.B) {
			n := 0
			for b.Loop() {
				fr := frames[n%len(frames)]
				f.Match(fr.data, fr.wireLen)
				n++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mframes/s")
		})
		instructions, _ := bpf.Disassemble(f.Program())
		vm, err := bpf.NewVM(instructions)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("x-net-bpf/"+expr, func(b *testing.B) {
			n := 0
			for b.Loop() {
				if _, err := vm.Run(frames[n%len(frames)].data); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mframes/s")
		})
	}
}
