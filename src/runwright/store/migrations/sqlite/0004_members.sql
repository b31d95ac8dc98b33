ALTER TABLE users ADD COLUMN issuer TEXT;

ALTER TABLE users ADD COLUMN subject TEXT;

CREATE UNIQUE INDEX users_by_subject ON users (issuer, subject) WHERE subject IS NOT NULL;

CREATE TABLE members (
    member_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    removed_at BIGINT,
    PRIMARY KEY (member_id)
);

CREATE INDEX members_by_org ON members (org_id, member_id);

CREATE INDEX members_by_user ON members (user_id);

CREATE UNIQUE INDEX members_of_org ON members (org_id, user_id) WHERE project_id IS NULL AND removed_at IS NULL;

CREATE UNIQUE INDEX members_of_project ON members (project_id, user_id) WHERE project_id IS NOT NULL AND removed_at IS NULL;
