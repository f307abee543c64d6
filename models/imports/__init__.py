"""The import side: files of any helpdesk become checked frames of the data contract."""
