-- Where each audit log ends: entries that are cut off at its end are missed against this.
CREATE TABLE audit_heads (
    org_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (org_id)
)
 WITHOUT ROWID;

INSERT INTO audit_heads (org_id, number, hash)
SELECT org_id, number, hash FROM audit WHERE number = (SELECT max(last.number) FROM audit last WHERE last.org_id = audit.org_id);
