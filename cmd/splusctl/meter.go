package main

import (
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"

	"github.com/secondaryplus/secondaryplus/control"
)

const (
	barWidth     = 24              // columns
	lineInterval = 2 * time.Second // between lines where bars cannot be drawn
)

// meter shows how a transfer goes: two bars on a terminal, lines elsewhere, nothing until one runs. It belongs to one
// goroutine.
type meter struct {
	app            *app
	zone           string
	saidAt         time.Time         // of the last line
	bars           progress.Writer   // nil where lines are written, and before the first transfer
	records, bytes *progress.Tracker // of bars
	ended          chan struct{}     // closed when bars are
}

func (a *app) newMeter(zone string) *meter { return &meter{app: a, zone: scrubLine(zone)} }

// draw shows the transfer of z, if there is one. The contents that are served tell how large it may become.
func (m *meter) draw(z *control.Zone) {
	p := z.Transfer
	switch {
	case p == nil:
	case !m.app.live:
		if now := m.app.now(); now.Sub(m.saidAt) >= lineInterval {
			m.saidAt = now
			_, _ = fmt.Fprintf(m.app.err, "%s: %s from %s\n", m.zone, amount(p), scrubLine(p.Primary))
		}
	default:
		if m.bars == nil {
			m.start(z)
		}
		advance(m.records, p.Records)
		advance(m.bytes, p.Bytes)
	}
}

// start begins to draw bars.
func (m *meter) start(z *control.Zone) {
	m.bars, m.ended = progress.NewWriter(), make(chan struct{})
	m.bars.SetOutputWriter(m.app.err)
	m.bars.SetTrackerLength(barWidth)
	m.bars.SetUpdateFrequency(m.app.every / 2)
	m.bars.Style().Visibility.Speed = true
	m.bars.Style().Options.TimeInProgressPrecision = 100 * time.Millisecond
	m.records = &progress.Tracker{Message: m.zone + " records", Total: int64(z.Records), AutoStopDisabled: true}
	m.bytes = &progress.Tracker{Message: m.zone + " bytes  ", Total: z.Bytes, AutoStopDisabled: true}
	m.bytes.Units = progress.UnitsBytes
	m.bars.AppendTrackers([]*progress.Tracker{m.records, m.bytes})
	go func() {
		m.bars.Render()
		close(m.ended)
	}()
}

// advance moves a bar, whose end gives way if what was expected is exceeded.
func advance(t *progress.Tracker, value int64) {
	if t.Total != 0 && value > t.Total {
		t.UpdateTotal(value)
	}
	t.SetValue(value)
}

// stop ends the drawing.
func (m *meter) stop() {
	if m.bars == nil {
		return
	}
	m.records.MarkAsDone()
	m.bytes.MarkAsDone()
	for { // a stop before the first drawing is lost
		m.bars.Stop()
		select {
		case <-m.ended:
			return
		case <-time.After(m.app.every):
		}
	}
}
