"""What a user of DuckDB would write instead of `cfray analyze`: duckdb_join.py LOGS OUT.parquet

Nine typed columns of the Cloudflare rows, the access log by its ray, the error log by a window of two seconds.
Prints the number of 520s.
"""

import sys

import duckdb

logs, out = sys.argv[1], sys.argv[2]

# One line of a text file as one column: a delimiter that never occurs, no quoting.
LINES = "read_csv('{}', columns={{'line': 'VARCHAR'}}, auto_detect=false, header=false, delim='\x01', quote='', escape='')"
ACCESS = LINES.format(f"{logs}/nginx/access.log")
ERROR = LINES.format(f"{logs}/nginx/error.log")

db = duckdb.connect()
db.execute(
    f"""
    COPY (
        WITH edge AS MATERIALIZED (
            SELECT *, make_timestamp_ns(EdgeEndTimestamp)::TIMESTAMP AS ended
            FROM read_json('{logs}/cloudflare/*/*', format='newline_delimited', columns={{
                RayID: 'VARCHAR', EdgeStartTimestamp: 'BIGINT', EdgeEndTimestamp: 'BIGINT', EdgeResponseStatus: 'SMALLINT',
                OriginResponseStatus: 'SMALLINT', ClientRequestHost: 'VARCHAR', ClientRequestMethod: 'VARCHAR',
                ClientRequestURI: 'VARCHAR', ClientIP: 'VARCHAR'}})
            WHERE EdgeResponseStatus = 520
        ),
        parsed AS (
            SELECT regexp_extract(
                line, '^(\\S+) \\S+ \\S+ \\[([^\\]]+)\\] "([^"]*)" (\\d+) (\\d+) .* "([0-9a-f]{{16}})-[A-Z]+"$',
                ['client', 'time', 'request', 'status', 'bytes', 'ray']) AS a, line
            FROM {ACCESS}
        ),
        access AS (SELECT a.ray AS ray, a.status AS status, line FROM parsed WHERE a.ray <> ''),
        error AS (
            SELECT strptime(line[1:19], '%Y/%m/%d %H:%M:%S') AS at, line FROM {ERROR}
        ),
        near AS (
            SELECT edge.RayID AS ray, count(*) AS lines, arg_min(error.line, abs(epoch_ms(error.at) - epoch_ms(edge.ended))) AS nearest
            FROM edge JOIN error ON error.at BETWEEN edge.ended - INTERVAL 2 SECOND AND edge.ended + INTERVAL 2 SECOND
            GROUP BY edge.RayID
        )
        SELECT edge.*, access.status AS access_status, access.line AS access_line, near.lines AS error_lines, near.nearest AS error_line
        FROM edge LEFT JOIN access ON access.ray = edge.RayID LEFT JOIN near ON near.ray = edge.RayID
        ORDER BY edge.EdgeStartTimestamp
    ) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
    """
)
print(db.execute(f"SELECT count(*) FROM '{out}'").fetchone()[0])
