package config

import (
	"net/netip"
	"reflect"
	"testing"
	"time"
)

type copied struct {
	Name  string
	Since time.Time
	Lists []struct{ Members []netip.Addr }
}

// A copy shares no memory that can be changed with what it was made of, however deep.
func TestACopyIsItsOwnersOwn(t *testing.T) {
	value := func() copied {
		var v copied
		v.Lists = append(v.Lists, struct{ Members []netip.Addr }{[]netip.Addr{netip.MustParseAddr("192.168.42.42")}})
		return v
	}
	c, ok := copierOf(reflect.TypeFor[copied]())
	if !ok || c == nil {
		t.Fatal("there is no copier")
	}
	v := value()
	own := v
	c(reflect.ValueOf(&own).Elem())
	if !reflect.DeepEqual(own, v) {
		t.Errorf("the copy is %+v", own)
	}
	own.Lists[0].Members[0] = netip.Addr{}
	own.Lists[0].Members = nil
	if !reflect.DeepEqual(v, value()) {
		t.Errorf("the original is now %+v", v)
	}
}

// What cannot be copied from outside is not shared.
func TestTypesThatCannotBeCopied(t *testing.T) {
	for _, x := range []any{struct{ list []int }{}, struct{ P *int }{}, []map[string]int{}} {
		if _, ok := copierOf(reflect.TypeOf(x)); ok {
			t.Errorf("%T has a copier", x)
		}
	}
}
