package logs

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/product"
)

// statusTags are the figures of a status line, in the order that public parsers require (logs.md
// 3.4).
const statusTags = "CPULd DskIO RAMUtil QKUsd QKFre CrtMID CrtICID CrtDCID InjMsg InjRcp GenBncRcp " +
	"RejRcp DrpMsg SftBncEvnt CmpRcp HrdBncRcp DnsHrdBnc 5XXHrdBnc FltrHrdBnc " +
	"ExpHrdBnc OtrHrdBnc DlvRcp DelRcp GlbUnsbHt ActvRcp UnatmptRcp AtmptRcp CrtCncIn " +
	"CrtCncOut DnsReq NetReq CchHit CchMis CchEct CchExp CPUTTm CPUETm MaxIO RAMUsd " +
	"MMLen DstInMem ResCon WorkQ QuarMsgs QuarQKUsd LogUsd SophLd BMLd CASELd TotalLd " +
	"LogAvail EuQ EuqRls CmrkLd McafLd SwIn SwOut SwPgIn SwPgOut SwapUsage RptLd " +
	"QtnLd EncrQ InjBytes"

// StatusLine returns the text after "Status: " of the status line of version v: names and
// values. A figure that is not in figures is 0.
func StatusLine(v product.Version, figures map[string]string) string {
	var b strings.Builder
	for tag := range strings.FieldsSeq(statusTags) {
		zero := "0"
		switch tag {
		case "SwapUsage":
			if v.Before(since12) || !v.Before(since16) {
				continue
			}
			zero = "0%"
		case "LogAvail":
			zero = "0G"
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(tag + " " + cmp.Or(figures[tag], zero))
	}
	return b.String()
}

// FormatDiskSpace returns an amount of disk space as a status line shows it: in whole gigabytes, to
// the nearest, such as "148G". Public parsers know no other unit.
func FormatDiskSpace(bytes int64) string {
	return fmt.Sprintf("%dG", (max(bytes, 0)+1<<29)>>30)
}
