-- works with: 22
-- The evidence of a run holds what the audit log says of it.
CREATE INDEX audit_by_target ON audit (org_id, target, number);
