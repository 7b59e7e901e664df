package main

import (
	"errors"
	"fmt"
	"html"
	"math"
	"strings"
)

// point is a figure at a number of Services.
type point struct{ services, value float64 }

// curve is how the figure of one change grows.
type curve struct {
	name   string
	points []point
}

// growth takes from the reports what one change costs the operator, over the number
// of Services.
func growth(reports []report) ([]curve, error) {
	var out []curve
	index := map[string]int{}
	for _, r := range reports {
		s, err := readSize(r.Size)
		if err != nil {
			return nil, err
		}
		for _, row := range r.Rows {
			if row.Heddle.P50MS == 0 {
				continue // the initial sync is no change
			}
			i, known := index[row.What]
			if !known {
				i = len(out)
				index[row.What] = i
				out = append(out, curve{name: row.What})
			}
			out[i].points = append(out[i].points, point{float64(s.Services), row.Heddle.CPUMS})
		}
	}
	if len(reports) < 2 || len(out) == 0 {
		return nil, errors.New("a plot of growth needs changes at two sizes at least")
	}
	return out, nil
}

// Sizes of the picture, in pixels.
const (
	plotWidth, plotHeight = 640, 360
	plotLeft, plotRight   = 60, 130
	plotTop, plotBottom   = 40, 50
)

// colours tell the curves apart, for the colour-blind, too (Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// draw returns the curves as SVG: Services on a logarithmic axis, milliseconds of the
// processor on a linear one from 0.
func draw(title string, curves []curve) string {
	low, high, top := math.Inf(1), math.Inf(-1), 0.0
	for _, c := range curves {
		for _, p := range c.points {
			low, high, top = min(low, p.services), max(high, p.services), max(top, p.value)
		}
	}
	step := math.Pow(10, math.Floor(math.Log10(max(top, 1e-3))))
	if top/step < 3 {
		step /= 2
	}
	top = step * math.Ceil(max(top, 1e-3)/step)
	x := func(services float64) float64 {
		if high == low {
			return plotLeft
		}
		return plotLeft + (plotWidth-plotLeft-plotRight)*math.Log(services/low)/math.Log(high/low)
	}
	y := func(value float64) float64 {
		return plotHeight - plotBottom - (plotHeight-plotTop-plotBottom)*value/top
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	text := func(x, y float64, anchor, words string) {
		fmt.Fprintf(&out, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(words))
	}
	text(plotLeft, 22, "start", title)
	for value := 0.0; value <= top+step/2; value += step {
		fmt.Fprintf(&out, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>`+"\n", plotLeft, plotWidth-plotRight, y(value), y(value))
		text(plotLeft-8, y(value)+4, "end", fmt.Sprintf("%g", value))
	}
	text(plotLeft-40, plotTop-6, "start", "ms")
	for _, p := range curves[0].points {
		text(x(p.services), plotHeight-plotBottom+20, "middle", fmt.Sprintf("%g", p.services))
	}
	text((plotLeft+plotWidth-plotRight)/2, plotHeight-10, "middle", "Services")
	for i, c := range curves {
		colour := colours[i%len(colours)]
		var line []string
		for _, p := range c.points {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x(p.services), y(p.value)))
			fmt.Fprintf(&out, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(p.services), y(p.value), colour)
		}
		fmt.Fprintf(&out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(line, " "), colour)
		fmt.Fprintf(&out, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/>`+"\n", plotWidth-plotRight+12, plotTop+18*i, colour)
		text(plotWidth-plotRight+28, float64(plotTop+18*i)+9, "start", c.name)
	}
	out.WriteString("</svg>\n")
	return out.String()
}
