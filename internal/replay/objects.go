// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// objects are the Nodes and pods as the log has them last.
type objects struct {
	hash    maphash.Seed
	skew    time.Duration
	names   *nameTable
	decoded struct { // the object that was read last
		of    *tracked
		parts []memory
	}
	sums    map[uint64]uint64 // by the hash of a value as it was logged
	deflate *flate.Writer
	inflate io.ReadCloser
	latest  map[key]*tracked
	seeds   map[key]*tracked // what was given beside the log
	recent  map[key][]unseen // writes whose answers are not known, and that others may precede although their time is earlier
}

func newObjects(skew time.Duration) *objects {
	deflate, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is valid
	}
	return &objects{
		hash: maphash.MakeSeed(), skew: skew, names: newNameTable(), deflate: deflate, inflate: flate.NewReader(bytes.NewReader(nil)),
		sums: map[uint64]uint64{}, latest: map[key]*tracked{}, seeds: map[key]*tracked{}, recent: map[key][]unseen{},
	}
}

// tracked is an object as it was stored last, as far as it is known. The parts that rules do not read by their values are kept as hashes.
type tracked struct {
	uid      string
	version  uint64
	at       time.Time // when an answer had this version. Zero: it was given beside the log
	first    time.Time // when an answer had this object, with any version
	since    bool      // it was written since, with an unknown version
	deleting bool      // it has a deletionTimestamp
	deleted  time.Time // somebody has asked for its deletion. Zero: nobody has
	all      bool      // every part may have changed since, except the fixed ones
	lost     []uint16
	encoded  []byte // of each part its number, its hash, the length of its value plus one, and the value; a length of 0: too large. Compressed
}

const (
	// maxNode and maxPod bound what is kept of an object, in bytes after it is compressed, and maxPart a value before.
	maxNode = 7 << 10
	maxPod  = 1700
	maxPart = 32 << 10
	// maxNames bounds how many names of parts are kept. An API server knows about a hundred.
	maxNames = 4096
)

// nameTable gives names of parts numbers, to keep them once.
type nameTable struct {
	byName map[partName]uint16
	names  []partName
}

func newNameTable() *nameTable { return &nameTable{byName: map[partName]uint16{}} }

// number returns the number of a name, and false if there are too many names.
func (p *nameTable) number(name partName) (uint16, bool) {
	n, has := p.byName[name]
	if !has {
		if len(p.names) == maxNames {
			return 0, false
		}
		n = uint16(len(p.names))
		p.names = append(p.names, name)
		p.byName[name] = n
	}
	return n, true
}

// memory is a part of a tracked object.
type memory struct {
	partName
	number uint16
	sum    uint64
	value  jsontext.Value // nil: too large
	kept   bool           // the value is known
}

const (
	// maxSums bounds how many hashes of long values are kept, which successive answers often repeat.
	maxSums = 1 << 16
	// longValue is from how many bytes on a value is long.
	longValue = 256
)

// sum returns a hash that is the same for equal values.
func (o *objects) sum(value jsontext.Value) uint64 {
	if len(value) < longValue {
		return maphash.Bytes(o.hash, canonical(value))
	}
	raw := maphash.Bytes(o.hash, value)
	sum, known := o.sums[raw]
	if !known {
		sum = maphash.Bytes(o.hash, canonical(value))
		if len(o.sums) == maxSums {
			clear(o.sums)
		}
		o.sums[raw] = sum
	}
	return sum
}

// remember keeps an object.
func (o *objects) remember(w *whole, k key) *tracked {
	t := &tracked{uid: w.uid, version: w.version}
	limit := maxPod
	if k.resource == "nodes" {
		limit = maxNode
	}
	var parts []*part
	for i := range w.parts {
		if p := &w.parts[i]; !p.isServers() {
			parts = append(parts, p)
		}
	}
	slices.SortStableFunc(parts, func(a, b *part) int { return cmp.Compare(len(a.value), len(b.value)) })
	for room := maxPart; ; room /= 2 {
		encoded, all := o.encode(parts, k.resource, room)
		t.all = !all
		if t.encoded = o.compress(encoded); len(t.encoded) <= limit || room < minRoom {
			break
		}
	}
	t.deleting = w.value("metadata", "deletionTimestamp") != nil
	return t
}

// minRoom is with how much room for values an object is kept however long it is then: it has only hashes.
const minRoom = 64

// encode encodes parts, with the values for which there is room. It returns false if it has left out a part.
func (o *objects) encode(parts []*part, resource string, room int) (encoded []byte, all bool) {
	all = true
	for _, p := range parts {
		number, ok := o.names.number(p.partName)
		if !ok {
			all = false // nothing is known to be absent
			continue
		}
		encoded = binary.AppendUvarint(encoded, uint64(number))
		encoded = binary.LittleEndian.AppendUint64(encoded, o.sum(p.value))
		if len(encoded)+len(p.value) > room || !keepsValue(resource, p.partName) {
			encoded = binary.AppendUvarint(encoded, 0)
			continue
		}
		encoded = binary.AppendUvarint(encoded, uint64(len(p.value))+1)
		encoded = append(encoded, p.value...)
	}
	return encoded, all
}

// compress compresses bytes.
func (o *objects) compress(data []byte) []byte {
	var b bytes.Buffer
	o.deflate.Reset(&b)
	_, err := o.deflate.Write(data)
	if err := errors.Join(err, o.deflate.Close()); err != nil {
		return nil // a buffer has no errors
	}
	return slices.Clip(b.Bytes())
}

// decompress is the inverse of compress.
func (o *objects) decompress(data []byte) []byte {
	if err := o.inflate.(flate.Resetter).Reset(bytes.NewReader(data), nil); err != nil {
		return nil // it needs no dictionary
	}
	raw, err := io.ReadAll(o.inflate)
	if err != nil {
		return nil // it was compressed by us
	}
	return raw
}

// keepsValue reports whether the value of a part is kept, not only its hash. What kubelets write to a pod leaves its spec alone.
func keepsValue(resource string, name partName) bool {
	if resource != "pods" || name.section != "spec" {
		return true
	}
	switch name.name {
	case "nodeName", "hostNetwork", "containers", "initContainers":
		return true
	}
	return false
}

// parts returns the parts that are known.
func (o *objects) parts(t *tracked) []memory {
	if o.decoded.of != t {
		o.decoded.of, o.decoded.parts = t, o.decode(t.encoded)
	}
	var all []memory
	for _, m := range o.decoded.parts {
		if t.knows(m.partName, m.number) {
			all = append(all, m)
		}
	}
	return all
}

// decode is the inverse of encode and compress.
func (o *objects) decode(encoded []byte) []memory {
	var all []memory
	for rest := o.decompress(encoded); len(rest) > 0; {
		number, n := binary.Uvarint(rest)
		rest = rest[n:]
		m := memory{number: uint16(number), partName: o.names.names[number], sum: binary.LittleEndian.Uint64(rest)}
		rest = rest[8:]
		length, n := binary.Uvarint(rest)
		rest = rest[n:]
		if length > 0 {
			m.kept, m.value = true, rest[:length-1]
			rest = rest[length-1:]
		}
		all = append(all, m)
	}
	return all
}

func (t *tracked) knows(name partName, number uint16) bool {
	return name.isFixed() && name.name != "deletionTimestamp" || !t.all && !slices.Contains(t.lost, number)
}

// lose notes that a part has perhaps changed.
func (o *objects) lose(t *tracked, name partName) {
	number, ok := o.names.number(name)
	switch {
	case !ok:
		t.all = true
	case !slices.Contains(t.lost, number):
		t.lost = append(t.lost, number)
	}
}

// isLost reports whether a part, whether the object had it or not, has perhaps changed.
func (o *objects) isLost(t *tracked, name partName) bool {
	number, has := o.names.byName[name]
	return t.all || has && slices.Contains(t.lost, number)
}

// before returns the object as it was before a write, and nil if it is not known.
func (o *objects) before(w *written) *tracked {
	k, version := w.key, w.version
	t, seed := o.latest[k], o.seeds[k]
	if version == 0 {
		return t
	}
	if t != nil && t.version == version && !w.dryRun && w.from.Sub(t.at) <= o.skew {
		return nil // which of the two writes has stored it, and which has changed nothing, is not known
	}
	if seed != nil && seed.version <= version && (t == nil || t.version > version || t.version < seed.version) {
		return seed
	}
	if t != nil && t.version > version {
		return nil
	}
	return t
}

// identified returns an object with a UID, whatever has been written since: its fixed parts do not change.
func (o *objects) identified(k key, uid string) *tracked {
	for _, t := range []*tracked{o.latest[k], o.seeds[k]} {
		if t != nil && t.uid == uid && uid != "" {
			return t
		}
	}
	return nil
}

// seedList is a list of objects, or an object.
type seedList struct {
	Kind  string           `json:"kind"`
	Items []jsontext.Value `json:"items"`
}

// seed adds objects from a list.
func (o *objects) seed(data []byte) error {
	var list seedList
	if err := json.Unmarshal(data, &list, jsontext.AllowInvalidUTF8(true)); err != nil {
		return err
	}
	if list.Items == nil {
		list.Items = []jsontext.Value{data}
	}
	for i, item := range list.Items {
		if err := o.seedObject(item); err != nil {
			return fmt.Errorf("items[%d]: %w", i, err)
		}
	}
	return nil
}

func (o *objects) seedObject(item jsontext.Value) error {
	w, err := splitWhole(item)
	if err != nil {
		return err
	}
	resource := map[string]string{"Node": "nodes", "Pod": "pods"}[w.kind]
	switch {
	case resource == "":
		return nil // another kind
	case w.name == "":
		return errors.New("metadata.name: is missing")
	case w.version == 0:
		return errors.New("metadata.resourceVersion: must be a number")
	}
	// kubectl has another order of names than the API server.
	encoded, err := encode(resource, item)
	if err != nil {
		return err
	}
	if w, err = splitWhole(encoded); err != nil {
		return err
	}
	k := key{resource, textOf(w.value("metadata", "namespace")), w.name}
	o.seeds[k] = o.remember(w, k)
	return nil
}
