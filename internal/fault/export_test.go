package fault

import "time"

// Deliveries that fail or hang do so quickly in the tests.
func init() { attemptSpan, pauseMin = 300*time.Millisecond, 5*time.Millisecond }

// The limits that the tests go up to.
const (
	MaxAttempts = maxAttempts
	MaxBurst    = maxBurst
	MaxHanging  = maxHanging
)

// ServiceNames returns the kinds of sinks.
func ServiceNames() (names []string) {
	for name := range services {
		names = append(names, name)
	}
	return names
}

// Form returns the form of the URLs of a service.
func Form(name string) string { return services[name].form }

// Label returns what logs and metrics call the sink of a valid URL.
func Label(url string) string {
	s, err := newSink(url)
	if err != nil {
		return ""
	}
	return s.label
}

// Excuse returns what is said of an error of the library.
func Excuse(err error) string { return excuse(err) }
