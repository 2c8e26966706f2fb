package web

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/pattern"
)

// wiresharkHint returns a sentence for a filter that seems to be in the language of Wireshark's
// display filters, and "" for other filters. If every comparison in the filter is a common one,
// the sentence contains the filter in tcpdump's language.
func wiresharkHint(expr string) string {
	if !displayField().MatchString(expr) && !displayProtocol().MatchString(expr) {
		return ""
	}
	text := " This seems to be a display filter of Wireshark; filters here are those of tcpdump."
	if translated, ok := fromWireshark(expr); ok {
		text += " Try: " + translated
	}
	return text
}

var (
	// displayField matches the name of a field, such as tcp.port, or the operators contains and
	// matches. tcpdump has neither.
	displayField = pattern.New(
		`(^|[\s(!])(frame|eth|arp|ip|ipv6|icmp|icmpv6|tcp|udp|dns|http|ssh|smtp|tls|ssl|syslog|` +
			`vlan|_ws)\.[a-z]|\b(contains|matches)\s+"`)
	// displayProtocol matches a filter that consists of a protocol that tcpdump does not know.
	displayProtocol = pattern.New(
		`^\s*!?\s*(dns|http|ssh|smtp|tls|ssl|syslog|ntp|ftp|snmp)\s*$`)
	// comparison matches one comparison, or a word of the language.
	comparison = pattern.New(
		`(?i)^(?:([a-z0-9]+(?:\.[a-z0-9_]+)+)\s*` + // a field
			`(?:(==|!=|<=|>=|<|>|\b(?:eq|ne|le|ge|lt|gt)\b)\s*([0-9a-z.:/]+))?` +
			`|([a-z0-9]+)|(&&|\|\||!|\(|\)))\s*`)
)

// fromWireshark translates a display filter of common comparisons. ok reports whether it could.
func fromWireshark(expr string) (translated string, ok bool) {
	var words []string
	for rest := strings.TrimSpace(expr); rest != ""; {
		m := comparison().FindStringSubmatch(rest)
		if m == nil || m[0] == "" {
			return "", false
		}
		rest = rest[len(m[0]):]
		word := ""
		field, op, value := strings.ToLower(m[1]), strings.ToLower(m[2]), m[3]
		name, sign := strings.ToLower(m[4]), m[5]
		switch {
		case field != "":
			word = translateComparison(field, op, value)
		case name != "":
			word = protocolFilters[name]
		default:
			word = map[string]string{"&&": "and", "||": "or", "!": "not", "(": "(", ")": ")"}[sign]
		}
		if word == "" {
			return "", false
		}
		words = append(words, word)
	}
	translated = strings.Join(words, " ")
	translated = strings.NewReplacer("( ", "(", " )", ")").Replace(translated)
	return translated, translated != ""
}

// protocolFilters translates names of protocols and words of the language.
var protocolFilters = map[string]string{
	"and": "and", "or": "or", "not": "not",
	"ip": "ip", "ipv6": "ip6", "arp": "arp", "icmp": "icmp", "icmpv6": "icmp6", "tcp": "tcp",
	"udp": "udp",
	"dns": "port 53", "http": "tcp port 80", "https": "tcp port 443", "tls": "tcp port 443",
	"ssl": "tcp port 443",
	"ssh": "tcp port 22", "smtp": "tcp port 25", "syslog": "port 514", "ntp": "udp port 123",
	"ftp": "tcp port 21", "snmp": "udp port 161",
}

// translateComparison translates a comparison of a field with a value. The operator is empty if
// the filter only asks for the field. The result is "" if the comparison is not a common one.
func translateComparison(field, op, value string) string {
	op = map[string]string{"eq": "==", "ne": "!=", "le": "<=", "ge": ">=", "lt": "<",
		"gt": ">"}[op] + strings.TrimLeft(op, "aeglnqrt")
	if flag, ok := strings.CutPrefix(field, "tcp.flags."); ok {
		bit := map[string]string{"syn": "tcp-syn", "ack": "tcp-ack", "fin": "tcp-fin",
			"reset": "tcp-rst", "push": "tcp-push"}[flag]
		set := value == "1" || strings.EqualFold(value, "true") || op == ""
		switch {
		case bit == "" || op != "" && op != "==" && op != "!=":
			return ""
		case set != (op == "!="):
			return fmt.Sprintf("tcp[tcpflags] & %s != 0", bit)
		}
		return fmt.Sprintf("tcp[tcpflags] & %s == 0", bit)
	}
	if field == "frame.len" {
		compare := map[string]string{"==": "=", "!=": "!=", "<=": "<=", ">=": ">=", "<": "<",
			">": ">"}[op]
		if compare == "" {
			return ""
		}
		return "len " + compare + " " + value
	}
	word := map[string]string{
		"ip.addr": "ip host", "ip.host": "ip host", "ip.src": "ip src host",
		"ip.dst":    "ip dst host",
		"ipv6.addr": "ip6 host", "ipv6.src": "ip6 src host", "ipv6.dst": "ip6 dst host",
		"tcp.port": "tcp port", "tcp.srcport": "tcp src port", "tcp.dstport": "tcp dst port",
		"udp.port": "udp port", "udp.srcport": "udp src port", "udp.dstport": "udp dst port",
		"eth.addr": "ether host", "eth.src": "ether src", "eth.dst": "ether dst",
		"vlan.id": "vlan",
	}[field]
	if strings.Contains(value, "/") {
		word = strings.Replace(word, "host", "net", 1)
	}
	switch {
	case word == "" || value == "":
		return ""
	case op == "==":
		return word + " " + value
	case op == "!=":
		return "not " + word + " " + value
	}
	return ""
}
