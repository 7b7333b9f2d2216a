package store

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"
)

// driverName is SQLite's driver with [utc] around it.
const driverName = "keyladder-sqlite3"

func init() { sql.Register(driverName, utc{&sqlite3.SQLiteDriver{}}) }

// utc writes times in UTC, whatever their zone. SQLite keeps a time as text with its offset and
// compares it as text, so that times with different offsets would be in a wrong order, for
// example after a machine went to another zone.
type utc struct{ driver.Driver }

// Open implements [driver.Driver].
func (d utc) Open(name string) (driver.Conn, error) {
	opened, err := d.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(sqliteConn)
	if !ok {
		return nil, fmt.Errorf("SQLite's connections are %T, which can't do what is needed", opened)
	}
	return utcConn{conn}, nil
}

// sqliteConn is what SQLite's connections can do and databases need.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
}

type utcConn struct{ sqliteConn }

// CheckNamedValue implements [driver.NamedValueChecker]. All values go through it, those of
// prepared statements, too.
func (utcConn) CheckNamedValue(v *driver.NamedValue) (err error) {
	if v.Value, err = driver.DefaultParameterConverter.ConvertValue(v.Value); err != nil {
		return err
	}
	if at, ok := v.Value.(time.Time); ok {
		v.Value = at.UTC()
	}
	return nil
}
