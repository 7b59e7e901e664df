package mesh

import (
	"hash/maphash"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A table is a map that keeps what it was: whatever is made from it, by single
// steps or by edits, each table of the history has its own entries, and two of
// them differ in what their maps differ in.
func TestTablesAreMapsThatStay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type moment struct {
			table Table[int, int]
			want  map[int]int
		}
		history := []moment{{want: map[int]int{}}}
		keys, values := rapid.IntRange(0, rapid.SampledFrom([]int{3, 50, 5000}).Draw(t, "keys")), rapid.IntRange(0, 3)
		for range rapid.IntRange(0, 20).Draw(t, "moments") {
			from := rapid.SampledFrom(history).Draw(t, "from")
			want := maps.Clone(from.want)
			edit := from.table.Edit()
			for range rapid.IntRange(0, 100).Draw(t, "steps") {
				key := keys.Draw(t, "key")
				if rapid.Bool().Draw(t, "drop") {
					edit.Drop(key)
					delete(want, key)
				} else {
					value := values.Draw(t, "value")
					edit.Put(key, value)
					want[key] = value
				}
				if rapid.IntRange(0, 30).Draw(t, "pause") == 0 {
					history = append(history, moment{edit.Table(), maps.Clone(want)})
				}
			}
			history = append(history, moment{edit.Table(), want})
		}
		for _, m := range history {
			checkTable(t, m.table, m.want)
			other := rapid.SampledFrom(history).Draw(t, "other")
			want := map[int]bool{}
			for _, pair := range [][2]map[int]int{{m.want, other.want}, {other.want, m.want}} {
				for key, value := range pair[0] {
					if got, ok := pair[1][key]; !ok || got != value {
						want[key] = true
					}
				}
			}
			got := map[int]bool{}
			for key := range Changed(m.table, other.table) {
				if got[key] {
					t.Fatalf("%d is yielded twice", key)
				}
				got[key] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("keys that differ (-want +got):\n%s", diff)
			}
		}
	})
}

func checkTable(t *rapid.T, table Table[int, int], want map[int]int) {
	t.Helper()
	if diff := cmp.Diff(want, maps.Collect(table.All())); diff != "" {
		t.Fatalf("entries (-want +got):\n%s", diff)
	}
	if table.Len() != len(want) {
		t.Fatalf("%d entries, said to be %d", len(want), table.Len())
	}
	for key := range want {
		if got, ok := table.Lookup(key); !ok || got != want[key] {
			t.Fatalf("%d has %d, %t; want %d", key, got, ok, want[key])
		}
	}
	if got, ok := table.Lookup(-1); ok {
		t.Fatalf("a key that is not there has %d", got)
	}
	if shape(table.root, 0) != shape(TableOf(want).root, 0) {
		t.Fatal("the shape follows from the history, not from the entries")
	}
	for i := range 3 {
		if n := 0; len(want) > i {
			for range table.Keys() {
				if n++; n > i {
					break
				}
			}
		}
	}
}

// shape hashes where the entries are.
func shape(n *node[int, int], depth int) uint64 {
	if n == nil || len(n.slots) == 0 {
		return 0
	}
	sum := uint64(n.bits)
	for _, s := range n.slots {
		at := s.hash
		if s.child != nil {
			at = shape(s.child, depth+1)
		}
		sum = maphash.Comparable(seed, [3]uint64{sum, at, uint64(depth)})
	}
	return sum
}

// Keys whose hashes are the same to the last bit are told apart.
func TestTableOfCollisions(t *testing.T) {
	t.Parallel()
	entry := func(key, value int) slot[int, int] { return slot[int, int]{hash: 7, key: key, value: value} }
	e := Table[int, int]{}.Edit()
	for key := range 5 {
		e.table.root = e.put(e.table.root, entry(key, 10*key), 0)
	}
	before := e.Table()
	e.table.root = e.put(e.table.root, entry(2, 21), 0)
	e.table.root = e.drop(e.table.root, 7, 4, 0)
	e.table.root = e.put(e.table.root, entry(5, 50), 0)
	after := e.Table()
	for key, want := range map[int][2]int{1: {10, 10}, 2: {20, 21}, 4: {40, 0}, 5: {0, 50}} {
		was, _ := lookup(before.root, 7, key)
		is, _ := lookup(after.root, 7, key)
		if was != want[0] || is != want[1] {
			t.Errorf("%d had %d and has %d, want %v", key, was, is, want)
		}
	}
	if got := slices.Sorted(Changed(before, after)); !slices.Equal(got, []int{2, 4, 5}) {
		t.Errorf("changed are %v", got)
	}
	for key := range 6 {
		if key != 4 && key != 3 {
			e.table.root = e.drop(e.table.root, 7, key, 0)
		}
	}
	if slots := e.table.root.slots; len(slots) != 1 || slots[0].child != nil || slots[0].key != 3 {
		t.Errorf("the last of them is not where it would be alone: %+v", slots)
	}
	if got := slices.Sorted(Changed(e.Table(), after)); !slices.Equal(got, []int{0, 1, 2, 5}) {
		t.Errorf("changed are %v", got)
	}
}

// The cost of a step does not follow the size of the table.
func BenchmarkTableStep(b *testing.B) {
	for _, size := range []int{100, 10_000, 1_000_000} {
		b.Run(sizeName(size), func(b *testing.B) {
			e := Table[int, int]{}.Edit()
			for key := range size {
				e.Put(key, 0)
			}
			table := e.Table()
			b.ResetTimer()
			for i := range b.N {
				next := table.With(i%size, i+1)
				for range Changed(table, next) {
				}
				table = next
			}
		})
	}
}

func sizeName(n int) string {
	switch n {
	case 100:
		return "100"
	case 10_000:
		return "10000"
	}
	return "1000000"
}
