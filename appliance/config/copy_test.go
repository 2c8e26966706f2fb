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
	Limit *int
}

// A copy shares no changeable memory with the original, at any depth.
func TestCopySharesNoMemory(t *testing.T) {
	value := func() copied {
		var v copied
		members := []netip.Addr{netip.MustParseAddr("192.168.42.42")}
		v.Lists = append(v.Lists, struct{ Members []netip.Addr }{members})
		v.Limit = new(int)
		*v.Limit = 42
		return v
	}
	c, ok := copierOf(reflect.TypeFor[copied]())
	if !ok || c == nil {
		t.Fatal("there is no copier")
	}
	v := value()
	clone := v
	c(reflect.ValueOf(&clone).Elem())
	if !reflect.DeepEqual(clone, v) {
		t.Errorf("the copy is %+v", clone)
	}
	clone.Lists[0].Members[0] = netip.Addr{}
	clone.Lists[0].Members = nil
	*clone.Limit = 0
	if !reflect.DeepEqual(v, value()) {
		t.Errorf("the original is now %+v", v)
	}
}

// Values that cannot be copied completely have no copier, so that Get decodes them each time.
func TestTypesWithoutCopier(t *testing.T) {
	for _, x := range []any{struct{ list []int }{}, struct{ P *copied }{}, struct{ P **int }{}, []map[string]int{}} {
		if _, ok := copierOf(reflect.TypeOf(x)); ok {
			t.Errorf("%T has a copier", x)
		}
	}
}
