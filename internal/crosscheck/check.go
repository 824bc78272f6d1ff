// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package crosscheck

import (
	"hash/maphash"
	"strings"
	"time"

	"noderestriction.plus/internal/decisionlog"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

const (
	// Margin is how far inside the period of a log something must be to be missing in it. Logs are written by different clocks, and an
	// event after all webhooks have answered.
	Margin = time.Minute
	// maxNamed is the maximum number of missing records, and of missing events, that are named. All are counted.
	maxNamed = 1000
	// maxConflicts is the maximum number of conflicts that are named. All are counted.
	maxConflicts = 20
	// maxStrays is the maximum number of events without a record whose repetitions are detected.
	maxStrays = 1 << 17
)

// Check is what is known of records and events. It takes about 14 bytes per record, if they are numbered as the webhook numbers them.
type Check struct {
	log   *recordlog.Log
	seed  maphash.Seed
	boots map[string]*boot
	order []*boot
	kinds kinds
	// from and to are when the first and the last record were written, in seconds since 1970. 0: no record was added.
	from, to uint32

	strays    map[number]uint16 // events without a record, with the digest of each
	repeated  uint64
	conflicts []Conflict
	events    uint64
	server    uint64
	unnamed   uint64
	missing   []MissingRecord

	unanswered map[uint16][]span // by write: requests that a webhook did not answer in time
	spans      int               // of unanswered
}

// number identifies a record.
type number struct {
	boot string
	seq  uint64
}

// boot has the records of a process.
type boot struct {
	BootReport
	mentioned recordlog.Range // in the log of records; known once events are read
	chunks    map[uint64]*chunk
}

// chunkSize is small, so that numbers without their neighbors, which only a forged log has, do not take much memory.
const chunkSize = 16

type chunk struct {
	seen  uint16 // one bit per number
	marks [chunkSize]mark
}

// mark is what is kept of a record.
type mark struct {
	at    uint32 // in seconds since 1970
	write uint16 // hash of what the event must have as well; 0: not known
	name  uint16 // hash of the object's name; 0: not known
	event uint16 // digest of its event; 0: none
	kind  uint8
	state state
}

type state uint8

const (
	late     state = 1 << iota // the API server did not read the answer
	partly                     // the line does not say whether it was late
	disputed                   // another record has its number
	denied                     // the outcome; otherwise audited
	warned
)

// outcomes are the bits of a state that say what was decided.
const outcomes = denied | warned

func outcome(o policy.Outcome) state {
	switch o {
	case policy.Denied, record.Probed: // to the API server, the enforcement probe is denied
		return denied
	case policy.Warned:
		return warned
	}
	return 0
}

// New returns a Check of the records of a log.
func New(log *recordlog.Log) *Check {
	return &Check{
		log: log, seed: maphash.MakeSeed(), boots: map[string]*boot{}, kinds: newKinds(), strays: map[number]uint16{},
		unanswered: map[uint16][]span{},
	}
}

func (c *Check) boot(id string) *boot {
	b, known := c.boots[id]
	if !known {
		b = &boot{BootReport: BootReport{Boot: id}, chunks: map[uint64]*chunk{}}
		c.boots[id] = b
		c.order = append(c.order, b)
	}
	return b
}

// find returns the mark of a record, or nil.
func (b *boot) find(seq uint64) *mark {
	c, known := b.chunks[(seq-1)/chunkSize]
	if i := (seq - 1) % chunkSize; known && c.seen&(1<<i) != 0 {
		return &c.marks[i]
	}
	return nil
}

// AddRecord adds a record as [recordlog.Log.Add] returned it.
func (c *Check) AddRecord(e *recordlog.Entry) {
	b := c.boot(e.Boot)
	if m := b.find(e.Seq); m != nil {
		m.state |= disputed // the log of records reports it
		return
	}
	page := (e.Seq - 1) / chunkSize
	if b.chunks[page] == nil {
		b.chunks[page] = &chunk{}
	}
	i := (e.Seq - 1) % chunkSize
	b.chunks[page].seen |= 1 << i
	b.chunks[page].marks[i] = c.markOf(e)
	b.Records++
	at := seconds(time.Time(e.Time))
	if c.from == 0 || at < c.from {
		c.from = at
	}
	c.to = max(c.to, at)
}

func (c *Check) markOf(e *recordlog.Entry) mark {
	m := mark{at: seconds(time.Time(e.Time))}
	if e.Compact && e.Like == 0 {
		m.state = partly
		return m
	}
	if e.Late {
		m.state = late
	}
	m.state |= outcome(e.Msg)
	m.kind = c.kinds.of(e)
	m.write = c.write(e)
	if !e.Compact {
		m.name = c.name(e)
	}
	return m
}

// write returns a hash of what a record and its event have in common except outcome and the object's name, or 0 if a value was cut.
func (c *Check) write(e *recordlog.Entry) uint16 {
	dryRun := ""
	if e.DryRun {
		dryRun = "dryRun"
	}
	client := e.Node
	if e.Account != "" {
		client = e.Account // an audit log may not say which node an agent is on
	}
	return c.hash(client, kindOf(e), dryRun)
}

func (c *Check) name(e *recordlog.Entry) uint16 {
	if e.Name == "" {
		return 0 // such as an object whose name the API server generates
	}
	return c.hash(e.Namespace, e.Name)
}

// hash returns a hash of values, which is not 0, or 0 if one of them was cut or is not known.
func (c *Check) hash(values ...string) uint16 {
	for _, v := range values {
		if v == recordlog.Unknown || strings.HasSuffix(v, "...") {
			return 0
		}
	}
	return c.digest(values...)
}

// digest returns a hash of values, which is not 0. Its seed is random, so that values cannot be crafted to collide.
func (c *Check) digest(values ...string) uint16 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, v := range values {
		_, _ = h.WriteString(v)
		_ = h.WriteByte(0)
	}
	return max(1, uint16(h.Sum64()&0xffff))
}

// seconds returns a time in seconds since 1970. A time outside the range of the type is that of the nearest end.
func seconds(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 1), 1<<32-1))
}

// AddEvent adds an event in which a policy decided, or that a webhook did not answer. All records must have been added.
func (c *Check) AddEvent(e *decisionlog.Event) {
	if e.Server != nil {
		c.server++
	}
	if u := e.Unanswered; u != nil && c.spans < maxStrays {
		c.spans++
		write := c.write(u.Write)
		c.unanswered[write] = append(c.unanswered[write], span{from: seconds(time.Time(u.Write.Time)), to: seconds(u.Until)})
	}
	for _, r := range e.Receipts {
		switch {
		case r.Seq > 0:
			c.addReceipt(e.Webhook, r)
		case e.Webhook.Msg != record.Probed: // the policies webhook answers its probe without a record
			c.unnamed++
		}
	}
}

func (c *Check) addReceipt(e *recordlog.Entry, r decisionlog.Receipt) {
	c.kinds.seen(e)
	digest := c.digest(r.Webhook, string(r.Outcome), e.UID, time.Time(e.Time).String(), e.User, kindOf(e), e.Namespace, e.Name)
	b := c.boots[r.Boot]
	var m *mark
	if b != nil {
		m = b.find(r.Seq)
	}
	if m == nil {
		c.addStray(e, r, digest)
		return
	}
	switch {
	case m.event == digest:
		c.repeated++
		return
	case m.event != 0:
		c.dispute(b, r, "two events name it")
		return
	}
	m.event = digest
	c.events++
	b.Both++
	if m.state&disputed == 0 && c.differs(m, e, r.Outcome) {
		c.dispute(b, r, "its event is of another write")
	}
}

// differs reports whether a record and its event are of different writes.
func (c *Check) differs(m *mark, e *recordlog.Entry, o policy.Outcome) bool {
	unequal := func(a, b uint16) bool { return a != 0 && b != 0 && a != b }
	return unequal(m.write, c.write(e)) || unequal(m.name, c.name(e)) || m.state&partly == 0 && m.state&outcomes != outcome(o)
}

func (c *Check) dispute(b *boot, r decisionlog.Receipt, problem string) {
	b.Conflicts++
	if len(c.conflicts) < maxConflicts {
		c.conflicts = append(c.conflicts, Conflict{Boot: r.Boot, Seq: r.Seq, Problem: problem})
	}
}

// addStray adds an event without a record.
func (c *Check) addStray(e *recordlog.Entry, r decisionlog.Receipt, digest uint16) {
	id := number{r.Boot, r.Seq}
	switch known := c.strays[id]; {
	case known == digest:
		c.repeated++
		return
	case known != 0:
		c.dispute(c.strayBoot(r.Boot), r, "two events name it")
		return
	case len(c.strays) < maxStrays:
		c.strays[id] = digest
	}
	c.events++
	b := c.strayBoot(r.Boot)
	at := time.Time(e.Time)
	switch where := c.place(b, r.Seq, at); where {
	case inside, during:
		b.WithoutRecord++
		if where == inside {
			b.inside++
		}
		if len(c.missing) < maxNamed {
			c.missing = append(c.missing, missingRecord(e, r))
		}
	case before:
		b.EventsBefore++
	case outside:
		b.EventsOutside++
	}
}

// strayBoot returns the boot of an event without a record. Beyond a number of boots without any record, which only a forged log has, they
// share one.
func (c *Check) strayBoot(id string) *boot {
	if b, known := c.boots[id]; known {
		return b
	}
	if len(c.order) >= maxStrays {
		return c.boot(otherBoots)
	}
	return c.boot(id)
}

// otherBoots stands for the processes beyond maxStrays.
const otherBoots = "others"

// place is where the record of an event would be in the log of records.
type place int

const (
	outside place = iota // nobody knows
	before               // before the first one of its process
	inside               // among the others of its process
	during               // not among them, but while records were written
)

func (c *Check) place(b *boot, seq uint64, at time.Time) place {
	if b.mentioned.Last == 0 {
		b.mentioned = c.log.Mentioned(b.Boot)
	}
	switch m := b.mentioned; {
	case seq < m.First:
		return before
	case seq <= m.Last:
		return inside
	case c.period().holds(at):
		return during
	}
	return outside
}

// period returns when records were written.
func (c *Check) period() period { return period{from: int64(c.from), to: int64(c.to)} }
