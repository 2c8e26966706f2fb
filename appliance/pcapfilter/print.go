package pcapfilter

import (
	"fmt"
	"strings"

	"golang.org/x/net/bpf"
)

// String returns the program in the format of "tcpdump -d": one line for each instruction, ended
// by a newline.
func (f *Filter) String() string {
	var b strings.Builder
	for i, in := range f.program {
		b.WriteString(format(i, in))
		b.WriteByte('\n')
	}
	return b.String()
}

// mnemonics contains the name and the format of the operand of each operation code.
var mnemonics = map[uint16]struct{ name, operand string }{
	opRet:         {"ret", "#%d"},
	opRetA:        {"ret", ""},
	opLdW:         {"ld", "[%d]"},
	opLdH:         {"ldh", "[%d]"},
	opLdB:         {"ldb", "[%d]"},
	opLdLen:       {"ld", "#pktlen"},
	opLdIndW:      {"ld", "[x + %d]"},
	opLdIndH:      {"ldh", "[x + %d]"},
	opLdIndB:      {"ldb", "[x + %d]"},
	opLdImm:       {"ld", "#0x%x"},
	opLdxImm:      {"ldx", "#0x%x"},
	opLdxMsh:      {"ldxb", "4*([%d]&0xf)"},
	opLdxLen:      {"ldx", "#pktlen"},
	opLdMem:       {"ld", "M[%d]"},
	opLdxMem:      {"ldx", "M[%d]"},
	opSt:          {"st", "M[%d]"},
	opStx:         {"stx", "M[%d]"},
	opJa:          {"ja", "%d"},
	opJgt:         {"jgt", "#0x%x"},
	opJge:         {"jge", "#0x%x"},
	opJeq:         {"jeq", "#0x%x"},
	opJset:        {"jset", "#0x%x"},
	opJgt | srcX:  {"jgt", "x"},
	opJge | srcX:  {"jge", "x"},
	opJeq | srcX:  {"jeq", "x"},
	opJset | srcX: {"jset", "x"},
	opAdd:         {"add", "#%d"},
	opSub:         {"sub", "#%d"},
	opMul:         {"mul", "#%d"},
	opDiv:         {"div", "#%d"},
	opMod:         {"mod", "#%d"},
	opAnd:         {"and", "#0x%x"},
	opOr:          {"or", "#0x%x"},
	opXor:         {"xor", "#0x%x"},
	opLsh:         {"lsh", "#%d"},
	opRsh:         {"rsh", "#%d"},
	opAdd | srcX:  {"add", "x"},
	opSub | srcX:  {"sub", "x"},
	opMul | srcX:  {"mul", "x"},
	opDiv | srcX:  {"div", "x"},
	opMod | srcX:  {"mod", "x"},
	opAnd | srcX:  {"and", "x"},
	opOr | srcX:   {"or", "x"},
	opXor | srcX:  {"xor", "x"},
	opLsh | srcX:  {"lsh", "x"},
	opRsh | srcX:  {"rsh", "x"},
	opNeg:         {"neg", ""},
	opTax:         {"tax", ""},
	opTxa:         {"txa", ""},
}

// format formats one instruction. Targets of jumps are absolute.
func format(i int, in bpf.RawInstruction) string {
	m := mnemonics[in.Op]
	operand := m.operand
	switch {
	case in.Op == opJa:
		operand = fmt.Sprintf(operand, i+1+int(int32(in.K)))
	case strings.Contains(operand, "%d"):
		operand = fmt.Sprintf(operand, int32(in.K))
	case strings.Contains(operand, "%"):
		operand = fmt.Sprintf(operand, in.K)
	}
	if in.Op&classMask == classJmp && in.Op != opJa {
		return fmt.Sprintf("(%03d) %-8s %-16s jt %d\tjf %d",
			i, m.name, operand, i+1+int(in.Jt), i+1+int(in.Jf))
	}
	return fmt.Sprintf("(%03d) %-8s %s", i, m.name, operand)
}
