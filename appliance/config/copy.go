package config

import (
	"net/netip"
	"reflect"
	"time"
)

// A copier replaces everything that a settable value holds by reference with copies.
type copier func(v reflect.Value)

// copierOf returns the copier of a type; it is nil if values of the type hold nothing by
// reference. ok is false for types with values that cannot be copied completely, such as maps and
// unexported fields.
func copierOf(t reflect.Type) (c copier, ok bool) {
	switch t {
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix](),
		reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[time.Time]():
		return nil, true // they point to immutable values only
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil, true
	case reflect.Struct:
		return copierOfStruct(t)
	case reflect.Slice:
		return copierOfSlice(t)
	case reflect.Pointer:
		return copierOfPointer(t)
	}
	return nil, false
}

func copierOfStruct(t reflect.Type) (copier, bool) {
	type field struct {
		index int
		copier
	}
	var fields []field
	for i := range t.NumField() {
		c, ok := copierOf(t.Field(i).Type)
		if !ok || c != nil && !t.Field(i).IsExported() {
			return nil, false
		}
		if c != nil {
			fields = append(fields, field{i, c})
		}
	}
	if len(fields) == 0 {
		return nil, true
	}
	return func(v reflect.Value) {
		for _, f := range fields {
			f.copier(v.Field(f.index))
		}
	}, true
}

func copierOfSlice(t reflect.Type) (copier, bool) {
	each, ok := copierOf(t.Elem())
	if !ok {
		return nil, false
	}
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		list := reflect.MakeSlice(t, v.Len(), v.Len())
		reflect.Copy(list, v)
		if each != nil {
			for i := range list.Len() {
				each(list.Index(i))
			}
		}
		v.Set(list)
	}, true
}

// copierOfPointer is for pointers to simple values. A pointer to a struct could lead back to itself.
func copierOfPointer(t reflect.Type) (copier, bool) {
	if k := t.Elem().Kind(); k == reflect.Pointer || k == reflect.Struct {
		return nil, false
	}
	each, ok := copierOf(t.Elem())
	if !ok || each != nil {
		return nil, false
	}
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		p := reflect.New(t.Elem())
		p.Elem().Set(v.Elem())
		v.Set(p)
	}, true
}
