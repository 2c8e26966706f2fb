package pcapfilter

// Operation codes of classic BPF, with the names of the paper by McCanne and Jacobson: class,
// then size and mode, or operation and source.
const (
	opLdImm  = 0x00
	opLdW    = 0x20 // ld [k]
	opLdH    = 0x28
	opLdB    = 0x30
	opLdIndW = 0x40 // ld [x + k]
	opLdIndH = 0x48
	opLdIndB = 0x50
	opLdMem  = 0x60
	opLdLen  = 0x80

	opLdxImm = 0x01
	opLdxMem = 0x61
	opLdxLen = 0x81
	opLdxMsh = 0xb1 // x = 4 * (byte at k & 0xf), the length of an IPv4 header

	opSt  = 0x02
	opStx = 0x03

	opAdd = 0x04
	opSub = 0x14
	opMul = 0x24
	opDiv = 0x34
	opOr  = 0x44
	opAnd = 0x54
	opLsh = 0x64
	opRsh = 0x74
	opNeg = 0x84
	opMod = 0x94
	opXor = 0xa4

	opJa   = 0x05
	opJeq  = 0x15
	opJgt  = 0x25
	opJge  = 0x35
	opJset = 0x45

	opRet  = 0x06
	opRetA = 0x16

	opTax = 0x07
	opTxa = 0x87

	srcX = 0x08 // the operand of an arithmetic operation or a jump is X instead of k

	classMask = 0x07
	classLd   = 0x00
	classLdx  = 0x01
	classSt   = 0x02
	classStx  = 0x03
	classAlu  = 0x04
	classJmp  = 0x05
	classRet  = 0x06
	classMisc = 0x07

	modeMask = 0xe0
	modeImm  = 0x00
	modeAbs  = 0x20
	modeInd  = 0x40
	modeMem  = 0x60
)

// scratchWords is the number of words in a program's scratch memory.
const scratchWords = 16

// A size is the width of a load in bytes.
type size uint32

const (
	byte1 size = 1
	byte2 size = 2
	byte4 size = 4
)

// code returns the operation code of a load of that width: from a fixed offset if mode is
// modeAbs, relative to X if it is modeInd.
func (s size) code(mode uint16) uint16 {
	switch s {
	case byte1:
		return mode | opLdB&^modeMask
	case byte2:
		return mode | opLdH&^modeMask
	}
	return mode
}
