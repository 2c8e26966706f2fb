package pcapfilter

// keywords are the keywords of the language. A backslash escapes a keyword that is meant as a
// name: "ip proto \tcp".
var keywords = map[string]token{
	"ether": {kind: tokProtocol, proto: protoLink},
	"link":  {kind: tokProtocol, proto: protoLink},
	"ppp":   {kind: tokProtocol, proto: protoLink},
	"slip":  {kind: tokProtocol, proto: protoLink},
	"fddi":  {kind: tokProtocol, proto: protoLink},
	"tr":    {kind: tokProtocol, proto: protoLink},
	"wlan":  {kind: tokProtocol, proto: protoLink},

	"ip":      {kind: tokProtocol, proto: protoIP},
	"ip6":     {kind: tokProtocol, proto: protoIPv6},
	"arp":     {kind: tokProtocol, proto: protoARP},
	"rarp":    {kind: tokProtocol, proto: protoRARP},
	"tcp":     {kind: tokProtocol, proto: protoTCP},
	"udp":     {kind: tokProtocol, proto: protoUDP},
	"sctp":    {kind: tokProtocol, proto: protoSCTP},
	"icmp":    {kind: tokProtocol, proto: protoICMP},
	"icmp6":   {kind: tokProtocol, proto: protoICMPv6},
	"igmp":    {kind: tokProtocol, proto: protoIGMP},
	"igrp":    {kind: tokProtocol, proto: protoIGRP},
	"pim":     {kind: tokProtocol, proto: protoPIM},
	"vrrp":    {kind: tokProtocol, proto: protoVRRP},
	"carp":    {kind: tokProtocol, proto: protoCARP},
	"ah":      {kind: tokProtocol, proto: protoAH},
	"esp":     {kind: tokProtocol, proto: protoESP},
	"atalk":   {kind: tokProtocol, proto: protoAppleTalk},
	"aarp":    {kind: tokProtocol, proto: protoAARP},
	"decnet":  {kind: tokProtocol, proto: protoDECnet},
	"lat":     {kind: tokProtocol, proto: protoLAT},
	"sca":     {kind: tokProtocol, proto: protoSCA},
	"moprc":   {kind: tokProtocol, proto: protoMOPRC},
	"mopdl":   {kind: tokProtocol, proto: protoMOPDL},
	"iso":     {kind: tokProtocol, proto: protoISO},
	"esis":    {kind: tokProtocol, proto: protoESIS},
	"es-is":   {kind: tokProtocol, proto: protoESIS},
	"isis":    {kind: tokProtocol, proto: protoISIS},
	"is-is":   {kind: tokProtocol, proto: protoISIS},
	"clnp":    {kind: tokProtocol, proto: protoCLNP},
	"l1":      {kind: tokProtocol, proto: protoISISL1},
	"l2":      {kind: tokProtocol, proto: protoISISL2},
	"iih":     {kind: tokProtocol, proto: protoISISIIH},
	"lsp":     {kind: tokProtocol, proto: protoISISLSP},
	"snp":     {kind: tokProtocol, proto: protoISISSNP},
	"csnp":    {kind: tokProtocol, proto: protoISISCSNP},
	"psnp":    {kind: tokProtocol, proto: protoISISPSNP},
	"stp":     {kind: tokProtocol, proto: protoSTP},
	"ipx":     {kind: tokProtocol, proto: protoIPX},
	"netbeui": {kind: tokProtocol, proto: protoNetBEUI},
	"radio":   {kind: tokProtocol, proto: protoRadio},

	"src": {kind: tokSrc}, "dst": {kind: tokDst},
	"addr1": {kind: tokWLANAddr}, "address1": {kind: tokWLANAddr},
	"addr2": {kind: tokWLANAddr}, "address2": {kind: tokWLANAddr},
	"addr3": {kind: tokWLANAddr}, "address3": {kind: tokWLANAddr},
	"addr4": {kind: tokWLANAddr}, "address4": {kind: tokWLANAddr},
	"ra": {kind: tokWLANAddr}, "ta": {kind: tokWLANAddr},

	"host": {kind: tokHost}, "net": {kind: tokNet}, "mask": {kind: tokMask},
	"port": {kind: tokPort}, "portrange": {kind: tokPortrange},
	"proto": {kind: tokProto}, "protochain": {kind: tokProtochain}, "gateway": {kind: tokGateway},

	"and": {kind: tokAnd}, "or": {kind: tokOr}, "not": {kind: '!'},

	"less": {kind: tokLess}, "greater": {kind: tokGreater}, "byte": {kind: tokByte},
	"len": {kind: tokLen}, "length": {kind: tokLen},
	"broadcast": {kind: tokBroadcast}, "multicast": {kind: tokMulticast},
	"inbound": {kind: tokInbound}, "outbound": {kind: tokOutbound}, "ifindex": {kind: tokIfindex},

	"vlan": {kind: tokVLAN}, "mpls": {kind: tokMPLS}, "geneve": {kind: tokGeneve},
	"pppoed": {kind: tokPPPoED}, "pppoes": {kind: tokPPPoES}, "llc": {kind: tokLLC},

	// The following keywords have a grammar, but no meaning for Ethernet.
	"type": {kind: tokType}, "subtype": {kind: tokSubtype},
	"dir": {kind: tokDir}, "direction": {kind: tokDir},
	"on": {kind: tokPFName}, "ifname": {kind: tokPFName},
	"rset": {kind: tokPFName}, "ruleset": {kind: tokPFName},
	"rnr": {kind: tokPFNumber}, "rulenum": {kind: tokPFNumber},
	"srnr": {kind: tokPFNumber}, "subrulenum": {kind: tokPFNumber},
	"reason": {kind: tokReason}, "action": {kind: tokAction},
	"lane": {kind: tokATM}, "metac": {kind: tokATM}, "bcc": {kind: tokATM},
	"oam": {kind: tokATM}, "oamf4": {kind: tokATM}, "oamf4ec": {kind: tokATM},
	"oamf4sc": {kind: tokATM}, "sc": {kind: tokATM}, "ilmic": {kind: tokATM},
	"connectmsg": {kind: tokATM}, "metaconnect": {kind: tokATM},
	"vpi": {kind: tokATMField}, "vci": {kind: tokATMField},
	"fisu": {kind: tokMTP2}, "lssu": {kind: tokMTP2}, "lsu": {kind: tokMTP2}, "msu": {kind: tokMTP2},
	"hfisu": {kind: tokMTP2}, "hlssu": {kind: tokMTP2}, "hmsu": {kind: tokMTP2},
	"sio": {kind: tokMTP3Field}, "opc": {kind: tokMTP3Field},
	"dpc": {kind: tokMTP3Field}, "sls": {kind: tokMTP3Field},
	"hsio": {kind: tokMTP3Field}, "hopc": {kind: tokMTP3Field},
	"hdpc": {kind: tokMTP3Field}, "hsls": {kind: tokMTP3Field},
}

// namedNumbers are names of offsets and values: icmp[icmptype] = icmp-echo.
var namedNumbers = map[string]uint32{
	"icmptype": 0, "icmpcode": 1, "icmp6type": 0, "icmp6code": 1, "tcpflags": 13,

	"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5,
	"icmp-echo": 8, "icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11,
	"icmp-paramprob": 12, "icmp-tstamp": 13, "icmp-tstampreply": 14, "icmp-ireq": 15,
	"icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,

	"icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3,
	"icmp6-parameterproblem": 4, "icmp6-echo": 128, "icmp6-echoreply": 129,
	"icmp6-multicastlistenerquery": 130, "icmp6-multicastlistenerreportv1": 131,
	"icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133, "icmp6-routeradvert": 134,
	"icmp6-neighborsolicit": 135, "icmp6-neighboradvert": 136, "icmp6-redirect": 137,
	"icmp6-routerrenum": 138, "icmp6-nodeinformationquery": 139,
	"icmp6-nodeinformationresponse": 140, "icmp6-ineighbordiscoverysolicit": 141,
	"icmp6-ineighbordiscoveryadvert": 142, "icmp6-multicastlistenerreportv2": 143,
	"icmp6-homeagentdiscoveryrequest": 144, "icmp6-homeagentdiscoveryreply": 145,
	"icmp6-mobileprefixsolicit": 146, "icmp6-mobileprefixadvert": 147,
	"icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149,
	"icmp6-multicastrouteradvert": 151, "icmp6-multicastroutersolicit": 152,
	"icmp6-multicastrouterterm": 153,

	"tcp-fin": 0x01, "tcp-syn": 0x02, "tcp-rst": 0x04, "tcp-push": 0x08,
	"tcp-ack": 0x10, "tcp-urg": 0x20, "tcp-ece": 0x40, "tcp-cwr": 0x80,
}

// Names of 802.11 frames.
var (
	wlanDirections = []string{"nods", "tods", "fromds", "dstods"}

	wlanTypes = map[string]uint32{"mgt": 0, "management": 0, "ctl": 1, "control": 1, "data": 2}

	wlanSubtypes = [][]string{
		{
			"assocreq", "assoc-req", "assocresp", "assoc-resp", "reassocreq", "reassoc-req",
			"reassocresp", "reassoc-resp", "probereq", "probe-req", "proberesp", "probe-resp",
			"beacon", "atim", "disassoc", "disassociation", "auth", "authentication",
			"deauth", "deauthentication",
		},
		{"ps-poll", "rts", "cts", "ack", "cf-end", "cf-end-ack"},
		{
			"data", "data-cf-ack", "data-cf-poll", "data-cf-ack-poll", "null", "cf-ack", "cf-poll",
			"cf-ack-poll", "qos-data", "qos-data-cf-ack", "qos-data-cf-poll", "qos-data-cf-ack-poll",
			"qos", "qos-cf-poll", "qos-cf-ack-poll",
		},
	}
)

// Names in the log of OpenBSD's packet filter.
var (
	pfReasons = []string{
		"match", "bad-offset", "fragment", "short", "normalize", "memory", "bad-timestamp",
		"congestion", "ip-option", "proto-cksum", "state-mismatch", "state-insert", "state-limit",
		"src-limit", "synproxy",
	}
	pfActions = []string{
		"pass", "accept", "drop", "block", "rdr", "nat", "binat", "nordr", "nonat", "nobinat",
		"scrub", "noscrub",
	}
)
