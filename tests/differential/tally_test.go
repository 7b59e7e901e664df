package differential_test

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/operator/explain"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// maxShown bounds how many failures are printed; all are counted.
const maxShown = 60

// tally counts what was compared and keeps what was wrong. It is safe for
// concurrent use.
type tally struct {
	mu                  sync.Mutex
	decisions, admitted int
	differences         map[string]*failure
	bypasses            map[string]*failure
}

// failure is one request that went wrong, on one lane or several.
type failure struct {
	what  string
	lanes []string
}

// judge compares one answer.
func (c *tally) judge(snapshot *mesh.Snapshot, r explain.Request, a answer, lane string) {
	diff := difference(explain.Explain(snapshot, r), r, a)
	around := bypass(snapshot.Policies.Get(self), r, r.Address.Port(), a)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.decisions++
	if a.outcome == explain.Admitted {
		c.admitted++
	}
	keep(&c.differences, r, diff, lane)
	keep(&c.bypasses, r, around, lane)
}

func keep(of *map[string]*failure, r explain.Request, what, lane string) {
	if what == "" {
		return
	}
	if *of == nil {
		*of = map[string]*failure{}
	}
	r.Address = netip.AddrPort{}
	key := show(r)
	if (*of)[key] == nil {
		(*of)[key] = &failure{what: what}
	}
	(*of)[key].lanes = append((*of)[key].lanes, lane)
}

// report prints the counts, and what went wrong with the shortest first.
func (c *tally) report(t *testing.T) {
	t.Helper()
	t.Logf("%d decisions compared (%d admitted): %d requests differ, %d get around the policy",
		c.decisions, c.admitted, len(c.differences), len(c.bypasses))
	for name, failures := range map[string]map[string]*failure{"difference": c.differences, "bypass": c.bypasses} {
		keys := slices.SortedFunc(maps.Keys(failures), func(x, y string) int {
			return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
		})
		for _, key := range keys[:min(maxShown, len(keys))] {
			f := failures[key]
			slices.Sort(f.lanes)
			t.Errorf("%s: %s\n  %s\n  with %s", name, key, f.what, strings.Join(f.lanes, ", "))
		}
	}
}
