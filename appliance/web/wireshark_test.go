package web

import (
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

func TestWiresharkFiltersGetAHint(t *testing.T) {
	for expr, want := range map[string]string{
		"tcp.port==22":                          "tcp port 22",
		"tcp.port == 22":                        "tcp port 22",
		"tcp.port eq 22":                        "tcp port 22",
		"ip.addr == 10.0.0.1 && udp":            "ip host 10.0.0.1 and udp",
		"ip.src==10.0.0.0/8 or tcp.dstport==25": "ip src net 10.0.0.0/8 or tcp dst port 25",
		"!(ip.addr==10.0.0.1)":                  "not (ip host 10.0.0.1)",
		"tcp.flags.syn==1 and tcp.flags.ack==0": "tcp[tcpflags] & tcp-syn != 0 and tcp[tcpflags] " +
			"& tcp-ack == 0",
		"tcp.flags.reset":                "tcp[tcpflags] & tcp-rst != 0",
		"frame.len > 1000":               "len > 1000",
		"udp.port != 53":                 "not udp port 53",
		"dns":                            "port 53",
		"ssh":                            "tcp port 22",
		"ipv6.addr == 2001:db8::1":       "ip6 host 2001:db8::1",
		"eth.addr==00:50:56:aa:bb:cc":    "ether host 00:50:56:aa:bb:cc",
		"http.request.method == \"GET\"": "-",
		"tcp.analysis.retransmission":    "-",
		"frame contains \"GET\"":         "-",
		"tcp port":                       "",
		"ip host 10.1.1.1 or or":         "",
		"host www.tcp.example":           "",
	} {
		got := wiresharkHint(expr)
		switch want {
		case "":
			if got != "" {
				t.Errorf("%s gets the hint %q", expr, got)
			}
		case "-":
			if got == "" || strings.Contains(got, "Try:") {
				t.Errorf("%s gets the hint %q", expr, got)
			}
		default:
			if !strings.HasSuffix(got, " Try: "+want) {
				t.Errorf("%s gets the hint %q, want %q", expr, got, want)
			}
			if _, err := pcapfilter.Compile(want, pcapfilter.Options{}); err != nil {
				t.Errorf("%s: %v", want, err)
			}
		}
	}
}
