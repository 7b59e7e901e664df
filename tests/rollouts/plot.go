package main

import (
	"fmt"
	"math"
	"strings"
)

// The plot's frame, in pixels; time is logarithmic, from 1 to 1440 minutes.
const (
	left, top, width, height = 60.0, 40.0, 560.0, 260.0
)

func across(minutes int) float64 {
	return left + width*math.Log(float64(minutes))/math.Log(1440)
}
func down(share float64) float64 { return top + height*(1-share) }

// plot draws which share of the candidates with 5 % errors has been rolled
// back after how many minutes.
func plot(results []result) string {
	colours := map[float64]string{5: "#b5541c", 20: "#2b6cb0", 100: "#2f855a"}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 400" font-family="sans-serif" font-size="12">
<rect width="700" height="400" fill="#fff"/>
<text x="%g" y="22" font-size="14">A candidate fails 5 %% of its requests, the primary 0.5 %%: rolled back so far</text>
`, left)
	for _, share := range []float64{0, 0.25, 0.5, 0.75, 1} {
		line(&b, left, down(share), left+width, down(share), `stroke="#ddd"`)
		label(&b, left-6, down(share)+4, "end", fmt.Sprintf("%g %%", 100*share))
	}
	for _, minutes := range []int{1, 3, 10, 30, 60, 180, 480, 1440} {
		line(&b, across(minutes), top, across(minutes), top+height, `stroke="#eee"`)
		label(&b, across(minutes), top+height+16, "middle", fmt.Sprint(minutes))
	}
	label(&b, left+width/2, top+height+34, "middle", "minutes")
	row := 0
	for _, r := range results {
		if r.name != "5 % errors for 0.5 %" {
			continue
		}
		for _, rule := range []struct {
			name, dash string
			outcomes   []outcome
		}{{"compared", "", r.ours}, {"threshold", ` stroke-dasharray="5 4"`, r.theirs}} {
			fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2"%s points="%s"/>`+"\n", colours[r.perMinute], rule.dash, curve(rule.outcomes))
			x, y := left+float64(row/2)*200, top+height+56+float64(row%2)*18
			line(&b, x, y, x+28, y, fmt.Sprintf(`stroke="%s" stroke-width="2"%s`, colours[r.perMinute], rule.dash))
			label(&b, x+34, y+4, "start", fmt.Sprintf("%s, %g a minute", rule.name, r.perMinute))
			row++
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func line(b *strings.Builder, x1, y1, x2, y2 float64, style string) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
}

func label(b *strings.Builder, x, y float64, anchor, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, text)
}

// curve is the share rolled back at the end of each minute, where it changes.
func curve(outcomes []outcome) string {
	at := map[int]int{}
	for _, o := range outcomes {
		if o.rolledBack {
			at[o.minutes+1]++
		}
	}
	var points []string
	sum := 0
	for minute := 1; minute <= 1440; minute++ {
		if sum += at[minute]; at[minute] > 0 || minute == 1 || minute == 1440 {
			points = append(points, fmt.Sprintf("%.1f,%.1f", across(minute), down(float64(sum)/float64(len(outcomes)))))
		}
	}
	return strings.Join(points, " ")
}
